"""Images and their classes from a data file of the user's own."""

from __future__ import annotations

import math
from pathlib import Path

from gdcli.datasets.arrays import ArrayTable
from gdcli.datasets.classes import number_classes
from gdcli.datasets.formats import read_file
from gdcli.datasets.table import Table
from gdcli.errors import UserError
from gdcli.fields import show
from gdcli.problem import Array

COLOURS = (1, 3)


def read_image_file(file: Path, target: str) -> tuple[Array, Array]:
    """Return images, (examples, colours, height, width), and classes, (examples,) int64.

    An .npz file has an array of images, (examples, height, width) with the colours before or
    after them, if any; in other files the columns besides the target are the pixels of square
    grey images. Raises UserError for other shapes.
    """
    table = read_file(file)
    classes = number_classes(table.labels(target), target)
    return _images(table, target), classes


def _images(table: Table, target: str) -> Array:
    """Return the images of a table."""
    others = [name for name in table.columns if name != target]
    shape: tuple[int, ...] = ()
    if isinstance(table, ArrayTable) and len(others) == 1:
        shape = table.arrays[others[0]].shape
    pixels = table.features(target)
    if len(shape) == 3:
        return pixels.reshape(shape[0], 1, *shape[1:])
    if len(shape) == 4:
        images = pixels.reshape(shape)
        last = shape[3] in COLOURS and shape[1] not in COLOURS
        return images.transpose(0, 3, 1, 2) if last else images
    side = math.isqrt(pixels.shape[1])
    if side * side != pixels.shape[1]:
        what = f"the {pixels.shape[1]} columns besides {show(target)} are no square image"
        raise UserError(str(table.file), what, "give an .npz file with an array of images")
    return pixels.reshape(-1, 1, side, side)
