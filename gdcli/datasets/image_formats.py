"""Images and classes in two binary formats: IDX (MNIST and its kin), and that of CIFAR-10.

IDX is described on LeCun, Cortes and Burges's MNIST page: two zero bytes, a type, the number of
axes, the size of each axis as a big-endian integer of four bytes, and the values. EMNIST's images
are transposed, and stay so. CIFAR-10 (Krizhevsky 2009) has five training files and one test file; a
record is a byte for the class, then the red, the green and the blue bytes of 32 x 32 pixels.
"""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gdcli.datasets.cells import MOST, note, ranked
from gdcli.datasets.contents import read_contents
from gdcli.datasets.npy import ArrayTable
from gdcli.datasets.reading import LABEL
from gdcli.errors import MissingData, UserError
from gdcli.fields import show

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gdcli.problem import Array, Batch

TYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
CLASSES = 10  # classes of MNIST and Fashion-MNIST, counted from 0
FORM = re.compile(
    r"(?P<key>.*?)[-_.]*(?P<kind>image|label)s?([-_.]?idx\d?)?"
    r"([-_.]?(ubyte|byte|short|int|float|double))?(?P<packed>\.(gz|bz2|xz|zip))?"
)
PART = re.compile(r"(?P<set>.*?)[-_.]*(?P<part>train|t10k|test)(ing)?")
ROLES = [(part, kind) for part in ("train", "test") for kind in ("image", "label")]
DEEPEST = 2  # levels of folders to search, as in MNIST/raw
MOST_FILES = 10_000  # files to look at, at most
IMAGE = "image"


@dataclass(frozen=True)
class FoundFile:
    """A file of a set, by its name."""

    file: Path
    depth: int
    set: str
    part: str  # "train" or "test"
    kind: str  # "image" or "label"

    @property
    def order(self) -> tuple[bool, bool, str]:
        """The order of several copies: packed ones and names with a hyphen come first."""
        name = self.file.name.lower()
        packed = name.endswith((".gz", ".bz2", ".xz", ".zip"))
        return not packed, ".idx" in name, name


def holds_idx(place: Path) -> bool:
    """Return whether a folder, or one below it, has a file of training images."""
    return any(f.part == "train" and f.kind == IMAGE for f in _search(place))


def read_mnist(place: Path) -> tuple[Batch, Batch]:
    """Return the training and the test part of a set's four files.

    `place` is their folder or a folder above it; if it holds several sets, followed by the start of
    the files' names. x: (images, height, width) as in the file; y: (images,) int64, the labels if
    they are from 0 to 9, otherwise their ranks. Raises UserError for a missing or wrong file.
    """
    files = _files(place)
    train, test = (
        _idx_part(files[part, IMAGE], files[part, "label"], "--data-dir")
        for part in ("train", "test")
    )
    if train["x"].ndim != 3 or train["x"].shape[1:] != test["x"].shape[1:]:
        sizes = (" x ".join(map(str, part["x"].shape)) for part in (train, test))
        what = f"its images have the shapes {' and '.join(sizes)}"
        fix = "give both parts images of one size, (examples, height, width)"
        raise UserError(str(files["train", IMAGE].parent), what, fix)
    _number(train, test, files["train", "label"])
    return train, test


def _number(train: Batch, test: Batch, file: Path) -> None:
    """Replace the labels of both parts by classes from 0."""
    import numpy as np

    labels = np.concatenate([train["y"], test["y"]])
    known, places = ranked(labels)
    if len(known) > MOST:
        what = f"it holds {len(known)} different labels, more than {MOST} classes"
        raise UserError(str(file), what, "give the file of the labels")
    if not (labels.min() >= 0 and labels.max() < CLASSES and not (labels % 1).any()):
        if known != tuple(map(str, range(len(known)))):
            what = f"its labels, from {known[0]} to {known[-1]}"
            note(f"{file}: {what}, are the classes 0 to {len(known) - 1}, in their order")
        labels = places
    train["y"], test["y"] = (part.astype(np.int64) for part in np.split(labels, [len(train["y"])]))


def read_pair(file: Path) -> ArrayTable:
    """Return the images of an IDX file, and their labels from the file beside it."""
    form = FORM.fullmatch(file.name.lower())
    if form is None or form["kind"] != IMAGE:
        what = "it holds labels" if form else "its name does not lead to the file of its labels"
        fix = "give the file of images, with a name such as train-images-idx3-ubyte"
        raise UserError(str(file), f"it is an IDX file, but {what}", fix)
    beside = [
        other
        for other, found in _formed(file.parent)
        if (found["kind"], found["key"]) == ("label", form["key"])
    ]
    if not beside:
        name = re.sub("(?i)images", "labels", file.name).replace("idx3", "idx1")
        what = f"there is no file {show(name)} in its folder"
        raise UserError(str(file), what, "put the file of its labels there")
    packed = form["packed"] or ""
    beside.sort(key=lambda other: (not other.name.lower().endswith(packed or "byte"), other.name))
    part = _idx_part(file, beside[0], "--data")
    note(f"{file}: the labels come from {beside[0]}")
    arrays = {LABEL: part["y"], IMAGE: part["x"]}
    return ArrayTable(file, (LABEL, IMAGE), arrays)


def _idx_part(image_file: Path, label_file: Path, option: str) -> Batch:
    """Return images, with at least two axes, and labels, (images,), as in the files."""
    import numpy as np

    images, labels = read_idx(image_file, option), read_idx(label_file, option)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    for file, array, of in ((image_file, images, "images"), (label_file, labels, "labels")):
        if (array.ndim == 1) != (of == "labels"):
            shape = " x ".join(map(str, array.shape))
            what = f"its array has the shape {shape}, not that of {of}"
            fix = (
                "give a file with one number for each image"
                if of == "labels"
                else "give a file of images"
            )
            raise UserError(str(file), what, fix)
    if len(images) != len(labels):
        what = f"there are {len(labels)} labels for the {len(images)} images of {image_file.name}"
        raise UserError(str(label_file), what, "give two files of the same set")
    if not np.isfinite(labels).all():
        raise UserError(str(label_file), "a label is not a finite number", "correct the label")
    return {"x": images, "y": labels}


def read_idx(file: Path, option: str) -> Array:
    """Return the array of an IDX file.

    The sizes in the header are compared with the size of the file, so a damaged header cannot
    allocate memory. Raises UserError for a damaged file and for another kind of file.
    """
    import numpy as np

    content = read_contents(file, option)
    axes = content[3] if len(content) > 4 else 0
    start = 4 + 4 * axes
    kind = TYPES.get(content[2]) if content[:2] == b"\0\0" and len(content) >= start > 4 else None
    if kind is None:
        raise UserError(str(file), "this is not an IDX file", "give the file as it was published")
    sizes = [int.from_bytes(content[i : i + 4], "big") for i in range(4, start, 4)]
    dtype = np.dtype(kind)
    if math.prod(sizes) * dtype.itemsize != len(content) - start or 0 in sizes:
        shape = " x ".join(map(str, sizes))
        each = f", of {dtype.itemsize} bytes each" if dtype.itemsize > 1 else ""
        what = (
            f"the header says {shape} values{each}, but the file holds {len(content) - start} bytes"
        )
        raise UserError(str(file), what, "download it again")
    values = np.frombuffer(content, dtype, offset=start).reshape(sizes)
    return values.astype(dtype.newbyteorder("="), copy=False)


def _files(place: Path) -> dict[tuple[str, str], Path]:
    """Return the four files of a set by part and kind; raises UserError unless each exists."""
    found = list(_search(place))
    nearest = min((f.depth for f in found), default=0)
    found = [f for f in found if f.depth == nearest]
    sets = sorted({f.set for f in found})
    if len(sets) > 1:
        listed = ", ".join(name or "a set without a name" for name in sets)
        folder = next(f.file.parent for f in found if f.set == sets[-1])
        fix = f"give --data-dir {folder / sets[-1]}, the start of the names of its files"
        raise UserError("--data-dir", f"{show(str(place))} holds several sets: {listed}", fix)
    files: dict[tuple[str, str], Path] = {}
    for part, kind in ROLES:
        same = [f for f in found if (f.part, f.kind) == (part, kind)]
        if not same:
            name = f"{'t10k' if part == 'test' else part}-{kind}s-idx{3 if kind == IMAGE else 1}"
            what = f"there is no {name}-ubyte in {show(str(place))}, packed or not"
            raise MissingData("--data-dir", what, "give the folder with all four idx-ubyte files")
        folders = sorted({str(f.file.parent) for f in same})
        if len(folders) > 1:
            listed = " and ".join(map(show, folders[:2]))
            what = f"there are several sets in {show(str(place))}: in {listed}"
            raise UserError("--data-dir", what, "give the folder of one set")
        files[part, kind] = min(same, key=lambda f: f.order).file
    return files


def _search(place: Path) -> Iterator[FoundFile]:
    """Yield the files of sets in and below a folder, or with this start of their names."""
    folder, start = (place, "") if place.is_dir() else (place.parent, place.name.lower())
    seen = 0
    level = [folder]
    for depth in range(1 if start else 1 + DEEPEST):
        deeper: list[Path] = []
        for one in level:
            for file, form in _formed(one):
                part = PART.fullmatch(form["key"])
                if part and file.name.lower().startswith(start):
                    name = "test" if part["part"] == "t10k" else part["part"]
                    yield FoundFile(file, depth, part["set"], name, form["kind"])
            if depth < DEEPEST and seen < MOST_FILES:
                below = _folders(one)
                seen += 1 + len(below)
                deeper += below
        level = deeper


def _formed(folder: Path) -> Iterator[tuple[Path, re.Match[str]]]:
    """Yield the files of images or labels in a folder, by their names, in order."""
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208 -- a name is all that is looked at
    except OSError:
        return
    for name in names:
        form = FORM.fullmatch(name.lower())
        if form is not None and (folder / name).is_file():
            yield folder / name, form


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir() and not path.is_symlink())
    except OSError:
        return []


TRAINING = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
TEST = ("test_batch.bin",)
SHAPE = 3, 32, 32
RECORD = 1 + 3 * 32 * 32


def holds_cifar(folder: Path) -> bool:
    """Return whether a folder has at least one of the training files."""
    return any((folder / name).is_file() for name in TRAINING)


def read_cifar(folder: Path) -> tuple[Batch, Batch]:
    """Return the training and the test part of a folder's files.

    x: (images, 3, 32, 32) uint8; y: (images,) int64. Raises UserError for a file that is missing
    or wrong.
    """
    return _cifar_part(folder, TRAINING), _cifar_part(folder, TEST)


def _cifar_part(folder: Path, names: tuple[str, ...]) -> Batch:
    import numpy as np

    records = np.concatenate([_records(folder / name) for name in names])
    return {"x": records[:, 1:].reshape(-1, *SHAPE), "y": records[:, 0].astype("int64")}


def _records(file: Path) -> Array:
    """Return the records of a file, (images, 3073) uint8."""
    import numpy as np

    content = read_contents(file, "--data-dir")
    if not content or len(content) % RECORD:
        what = f"its {len(content)} bytes are not a multiple of the record size {RECORD}"
        raise UserError(str(file), what, "give the binary version of CIFAR-10, unpacked")
    records = np.frombuffer(content, np.uint8).reshape(-1, RECORD)
    if records[:, 0].max() >= CLASSES:
        what = f"the label {records[:, 0].max()} is not one of the {CLASSES} classes from 0"
        raise UserError(str(file), what, "give the binary version of CIFAR-10")
    return records
