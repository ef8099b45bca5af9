"""Images and their classes from a data file of the user's own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from gdcli.datasets.arrays import ArrayTable
from gdcli.datasets.classes import Classes, number_classes
from gdcli.datasets.features import used
from gdcli.datasets.formats import read_file
from gdcli.datasets.reading import Reading
from gdcli.datasets.table import Table
from gdcli.errors import UserError
from gdcli.fields import show
from gdcli.problem import Array

COLOURS = (1, 3)
RARER = (2, 4)  # grey and alpha; red, green, blue and alpha


def read_image_file(file: Path, target: str, reading: Reading) -> tuple[Array, Classes]:
    """Return images, (examples, colours, height, width), and their classes.

    An .npz file has an array of images, (examples, height, width) with the colours before or
    after them, if any; in other files the columns besides the target are the pixels of square
    grey images. Raises UserError for other shapes.
    """
    table, others = used(read_file(file, reading, target), target, reading)
    classes = number_classes(table.labels(target), target)
    return _images(table, others, target), classes


def _images(table: Table, others: Sequence[str], target: str) -> Array:
    """Return the images of a table."""
    shape: tuple[int, ...] = ()
    if isinstance(table, ArrayTable) and len(others) == 1:
        shape = table.arrays[others[0]].shape
    pixels = table.numbers(others)
    if len(shape) == 3:
        return pixels.reshape(shape[0], 1, *shape[1:])
    if len(shape) == 4:
        images = pixels.reshape(shape)
        return images.transpose(0, 3, 1, 2) if _colours_last(shape, table.file) else images
    side = math.isqrt(pixels.shape[1])
    if side * side != pixels.shape[1]:
        what = f"the {pixels.shape[1]} columns besides {show(target)} are no square image"
        raise UserError(str(table.file), what, "give an .npz file with an array of images")
    return pixels.reshape(-1, 1, side, side)


def _colours_last(shape: tuple[int, ...], file: Path) -> bool:
    """Return whether the last axis of images is that of the colours, and not the one before."""
    first, last = shape[1], shape[3]
    for few in (COLOURS, RARER):
        if first in few or last in few:
            return first not in few
    # More channels than a picture has, as of a satellite: the other two axes are alike.
    if (shape[2] == last) != (shape[1] == shape[2]):
        return shape[1] == shape[2]
    sizes = " x ".join(map(str, shape[1:]))
    what = f"the images have the shape {sizes}, of which none is seen to be the colours"
    raise UserError(str(file), what, "give (examples, colours, height, width), of 1 to 4 colours")
