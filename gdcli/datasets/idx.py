"""Images from IDX files: MNIST, Fashion-MNIST and sets of the same form, gzipped or not.

The format is the one of LeCun, Cortes and Burges's MNIST page: two zero bytes, a type, the
number of axes, each axis's size as a big-endian integer of four bytes, and the values.
"""

from __future__ import annotations

import math
from pathlib import Path

from gdcli.datasets.contents import read_contents
from gdcli.errors import MissingData, UserError
from gdcli.fields import show
from gdcli.problem import Array, Batch

UNSIGNED_BYTE = 8
CLASSES = 10


def read_mnist(folder: Path) -> tuple[Batch, Batch]:
    """Return the training and the test part of a folder's four files.

    x: (images, height, width) uint8; y: (images,) int64 from 0 to 9. Raises UserError for a file
    that is missing or wrong.
    """
    return _part(folder, "train"), _part(folder, "t10k")


def _part(folder: Path, part: str) -> Batch:
    image_file = _find(folder, f"{part}-images-idx3-ubyte")
    label_file = _find(folder, f"{part}-labels-idx1-ubyte")
    images, labels = read_idx(image_file, axes=3), read_idx(label_file, axes=1)
    if len(images) != len(labels):
        what = f"there are {len(labels)} labels for the {len(images)} images of {image_file.name}"
        raise UserError(str(label_file), what, "give two files of the same set")
    if labels.max() >= CLASSES:
        what = f"the label {labels.max()} is not one of the {CLASSES} classes from 0"
        raise UserError(str(label_file), what, "give the four files of one set")
    return {"x": images, "y": labels.astype("int64")}


def named(stem: str) -> tuple[str, ...]:
    """Return what a file of a set may be called: packed or not, with the dot of some unpackers."""
    dotted = stem.replace("-idx", ".idx")
    return f"{stem}.gz", stem, f"{dotted}.gz", dotted


def _find(folder: Path, stem: str) -> Path:
    for name in named(stem):
        if (folder / name).is_file():
            return folder / name
    fix = "give the folder of all four idx-ubyte files"
    raise MissingData("--data-dir", f"there is no {stem}.gz in {show(str(folder))}", fix)


def read_idx(file: Path, axes: int) -> Array:
    """Return the bytes of an IDX file as uint8 with that many axes.

    The sizes in the header are held against the bytes that are there, so that a damaged header
    asks for no memory. Raises UserError for a file that is damaged or of another kind.
    """
    import numpy as np

    content, start = read_contents(file, "--data-dir"), 4 + 4 * axes
    if content[:4] != bytes([0, 0, UNSIGNED_BYTE, axes]) or len(content) < start:
        what = f"this is no {axes}-dimensional IDX file of unsigned bytes"
        raise UserError(str(file), what, "give the file as it was published")
    sizes = [int.from_bytes(content[i : i + 4], "big") for i in range(4, start, 4)]
    if math.prod(sizes) != len(content) - start or 0 in sizes:
        shape = " x ".join(map(str, sizes))
        what = f"the header says {shape} bytes, the file holds {len(content) - start}"
        raise UserError(str(file), what, "fetch it again")
    return np.frombuffer(content, np.uint8, offset=start).reshape(sizes)
