"""Images with classes: named sets that are installed beside gdcli, and files of the user's."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple, TypeAlias

from gdcli.datasets import image_formats
from gdcli.datasets.cells import note
from gdcli.datasets.features import classes_of, used
from gdcli.datasets.npy import ArrayTable
from gdcli.datasets.reading import Both, read_both
from gdcli.datasets.split import Apart, Stratified, keeps_test_part, scaled
from gdcli.datasets.tabular import Source
from gdcli.errors import MissingData, UserError
from gdcli.fields import LATER, counted, show
from gdcli.problem import Batch, Data, OfClasses

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from gdcli.datasets.cells import Classes
    from gdcli.datasets.reading import Reading
    from gdcli.datasets.tables import Table
    from gdcli.problem import Array

SYSTEM = (Path("/usr/local/share/datasets"), Path("/usr/share/datasets"))  # each set in a folder


@dataclass(frozen=True)
class ImageSet:
    """The files of a set, and the function that reads them."""

    holds: Callable[[Path], bool]  # whether a folder has files of the set
    files: str  # the files, in words
    read: Callable[[Path], tuple[Batch, Batch]]
    inner: str = "."  # the folder that the published archive unpacks to
    package: str | None = None


IDX = image_formats.holds_idx, "four idx-ubyte files"
SETS = {
    "mnist": ImageSet(*IDX, image_formats.read_mnist),
    "fashion-mnist": ImageSet(*IDX, image_formats.read_mnist, package="dataset-fashion-mnist"),
    "cifar10": ImageSet(
        image_formats.holds_cifar,
        "six .bin files",
        image_formats.read_cifar,
        "cifar-10-batches-bin",
    ),
}


def read_images(name: str, folder: Path | None) -> tuple[Batch, Batch]:
    """Return the training and the test part of a set: "x" and "y".

    x: (images, height, width) or (images, colours, height, width); y: (images,) int64. `folder` is
    --data-dir; None: the system's folders of data sets. Raises UserError for a set that does not
    exist, and for wrong files.
    """
    kind = SETS[name]
    places = (folder,) if folder else system_folders(name)
    if (place := _found(kind, places)) is not None:
        return kind.read(place)
    looked = " or ".join(show(str(place)) for place in places)
    fix = f"give the folder of its {kind.files}"
    if kind.package:
        fix += f", or install Debian's package {kind.package}"
    raise MissingData("--data-dir", f"there are no files of {name} in {looked}", fix)


def system_folders(name: str) -> tuple[Path, ...]:
    """Return the folders to search without --data-dir."""
    return tuple(root / name for root in SYSTEM)


def installed(name: str) -> Path | None:
    """Return the system's folder of a set; None if there is none."""
    return _found(SETS[name], system_folders(name))


def _found(kind: ImageSet, places: tuple[Path, ...]) -> Path | None:
    """Return the first folder that holds a set."""
    inner = (place / name for place in places for name in (".", kind.inner))
    return next((p for p in inner if kind.holds(p)), None)


COLOURS = (1, 3)
RARER = (2, 4)  # grey and alpha; red, green, blue and alpha
WHITE = {"bool": 1.0, "uint8": 255.0, "uint16": 65535.0}
AS_IMAGES = "give (examples, height, width), or (examples, colours, height, width)"


class Images(NamedTuple):
    """Images of a file, one part or Apart, with their classes and pixel type."""

    pixels: Array  # (examples, colours, height, width) float64
    classes: Classes
    dtype: str  # of the pixels in the file


def read_image_file(file: Path, target: str, reading: Reading) -> Images:
    """Return images and their classes.

    An .npz file has an array of images, (examples, height, width), perhaps with an axis of colours
    before or after height and width. In other files the columns besides the target are the pixels
    of square grey images. Raises UserError for other shapes.
    """
    both, others = used(read_both(file, reading, target), target, reading)
    classes = classes_of(both, target)
    pixels = [_images(table, others, target) for table in both.tables]
    dtype = _dtype(both.table, others)
    if len(pixels) == 1:
        return Images(pixels[0], classes, dtype)
    first, second = (part.shape[1:] for part in pixels)
    if first != second:
        sizes = [" x ".join(map(str, shape)) for shape in (second, first)]
        what = f"its test images are {sizes[0]} (colours, height, width), the others {sizes[1]}"
        raise UserError(str(both.tables[1].file), what, "give images of one size")
    _check_kinds(both, others)
    return Images(Apart(pixels[0], pixels[1], str(file), both.said), classes, dtype)


def white(dtype: str, largest: float, file: Path | None) -> float:
    """Return the divisor of the pixels: the largest value of their type, or the largest pixel.

    `largest` is the largest pixel of the training part; numbers up to 1 are divided by 1. For a
    file a note says so, unless the divisor is the usual one.
    """
    found = WHITE.get(dtype)
    if found is None:
        found = 1.0 if largest <= 1 else largest
    if file is not None and found > 1 and (not math.isclose(found, 255) or largest < found / 4):
        what = f"pixels are divided by {found:g}, the largest in the training part"
        if dtype in WHITE:
            most = f"the largest in the training part is {largest:g}"
            what = f"pixels of {dtype} are divided by {found:g}; {most}"
        note(f"{file}: {what}; for another scale save them as floats from 0 to 1")
    return found


def _dtype(table: Table, names: Sequence[str]) -> str:
    """Return the type of the pixels, "" for columns of a text file."""
    one = isinstance(table, ArrayTable) and len(names) == 1
    return str(table.arrays[names[0]].dtype) if one else ""  # type: ignore[attr-defined]


def _check_kinds(both: Both, names: Sequence[str]) -> None:
    """Raise UserError if the parts have different pixel types, hence different divisors."""
    first, second = (_dtype(table, names) for table in both.tables)
    if first != second and (first in WHITE or second in WHITE):
        what = f"its test images have the type {second or 'text'}, the others {first or 'text'}"
        raise UserError(str(both.tables[1].file), what, "save both parts with one type")


def _images(table: Table, others: Sequence[str], target: str) -> Array:
    """Return the images of a table."""
    shape: tuple[int, ...] = ()
    if isinstance(table, ArrayTable):
        shapes = {name: table.arrays[name].shape for name in others}
        deep = [name for name in others if len(shapes[name]) > 2]
        if deep and len(others) > 1:
            listed = ", ".join(map(show, others))
            what = f"besides {show(target)} it has {len(others)} arrays, {listed}"
            raise UserError(str(table.file), what, "give --drop with all but the images")
        shape = shapes[others[0]] if len(others) == 1 else ()
    if len(shape) > 4 or 0 in shape:
        what = f"{show(others[0])} has the shape {' x '.join(map(str, shape))}"
        raise UserError(str(table.file), f"{what}, which is not that of images", AS_IMAGES)
    pixels = table.numbers(others)
    if len(shape) == 3:
        return pixels.reshape(shape[0], 1, *shape[1:])
    if len(shape) == 4:
        images = pixels.reshape(shape)
        return images.transpose(0, 3, 1, 2) if _colours_last(shape, table.file) else images
    side = math.isqrt(pixels.shape[1])
    if side * side != pixels.shape[1]:
        what = f"the {pixels.shape[1]} columns besides {show(target)} are not a square image"
        raise UserError(str(table.file), what, "give an .npz file with an array of images")
    note(f"{table.file}: {side * side} columns are read as grey images of {side} x {side} pixels")
    return pixels.reshape(-1, 1, side, side)


def _colours_last(shape: tuple[int, ...], file: Path) -> bool:
    """Return whether the last axis of the images is the colours, not the second axis.

    A note says which axis was chosen.
    """
    _, first, middle, last = shape
    ways = {True: (last, first, middle), False: (first, middle, last)}  # colours, height, width
    few = [way for way, (colours, *_) in ways.items() if colours in (*COLOURS, *RARER)]
    fit = few or list(ways)
    if len(fit) > 1:  # images are usually square
        fit = [way for way in fit if ways[way][1] == ways[way][2]] or fit
    if len(fit) > 1:
        fit = [way for way in fit if ways[way][0] in COLOURS] or fit
    sizes = " x ".join(map(str, shape[1:]))
    if len(fit) > 1 and not few:
        what = f"the images have the shape {sizes}, and no axis can be recognized as the colours"
        raise UserError(
            str(file), what, "give (examples, colours, height, width), of 1 to 4 colours"
        )
    taken = fit[-1]  # colours first, as in torch, if both are possible
    colours, height, width = ways[taken]
    of = counted(colours, "colour", "colours")
    what = f"the images of {sizes} are read as {height} x {width} pixels of {of}"
    doubt = ""
    if len(few) > 1:
        doubt = ", although the first axis could also be the colours"
        if not taken:
            doubt = "; if they are last, save numpy.moveaxis(images, -1, 1)"
    note(f"{file}: {what}, which are {'last' if taken else 'first'}{doubt}")
    return taken


Name: TypeAlias = Literal[
    "digits", "iris", "wine", "breast-cancer", "fashion-mnist", "mnist", "cifar10"
]


@dataclass(frozen=True)
class Classified(Source, Stratified, OfClasses):
    """The options of a problem with classes: --dataset may name a set of images, too.

    A named set of images has its own test part, and each pixel is a feature.
    """

    dataset: Annotated[Name, "data set to train on"] = "digits"
    data_dir: Annotated[
        Path | None, LATER, "folder with the files of mnist, fashion-mnist or cifar10"
    ] = None

    def __post_init__(self) -> None:
        """Raise UserError for options that exclude each other."""
        super().__post_init__()
        if self.data_dir is not None and (self.data is not None or self.dataset not in SETS):
            own = "the file of --data" if self.data else f"{self.dataset}, which is part of gdcli"
            what = f"{show(str(self.data_dir))} is not used for {own}"
            raise UserError("--data-dir", what, "leave it out, or add --dataset mnist")
        whole = self.dataset if self.data is None and self.dataset in SETS else None
        self.check_stratified(whole, self.test_fraction)

    def load_classes(self, rng: np.random.Generator) -> Data:
        """Return the split set: scaled features, and classes, (examples,) int64."""
        if self.data is None and self.dataset in SETS:
            train, test = map(_as_rows, read_images(self.dataset, self.data_dir))
            tests = keeps_test_part(self.test_fraction, self.dataset, "")
            return scaled(train, test if tests else {}, self.scale)
        x, classes = self.classified()
        return self.split(x, classes.places, classes, (self.test_fraction, self.scale), rng)


def _as_rows(part: Batch) -> Batch:
    """Return images as rows of numbers."""
    return {**part, "x": part["x"].reshape(len(part["x"]), -1).astype(float)}
