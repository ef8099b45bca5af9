"""Shapes: generated images of coloured rectangles, each with its box and its colour as class."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gdcli.datasets.boxes import padded
from gdcli.problem import Array, Batch

if TYPE_CHECKING:
    import numpy as np

NAMES = ("red", "green", "blue")
MOST = 3  # rectangles of an image
SHORTEST, LONGEST = 0.2, 0.5  # sides, as parts of the image
GREY, NOISE = 114, 12  # the background, and the standard deviation of its pixels
TRIES = 50  # for a rectangle that covers no other


def draw_shapes(rng: np.random.Generator, count: int, size: int) -> Batch:
    """Return so many square images with one to three rectangles that do not overlap."""
    images, objects = zip(*(_image(rng, size) for _ in range(count)), strict=True)
    return padded(images, objects, MOST)


def _image(rng: np.random.Generator, size: int) -> tuple[Array, Array]:
    """Return one image and its objects, rows of class, centre, width and height."""
    import numpy as np

    image = rng.normal(GREY, NOISE, (size, size, 3))
    taken = np.zeros((size, size), dtype=bool)
    rows = []
    for _ in range(rng.integers(1, MOST + 1)):
        place = _free(rng, taken)
        if place is None:
            break
        left, top, width, height = place
        inside = np.s_[top : top + height, left : left + width]
        colour = int(rng.integers(len(NAMES)))
        image[inside] = 40
        image[(*inside, colour)] = rng.uniform(160, 255)
        taken[inside] = True
        rows.append([colour, left + width / 2, top + height / 2, width, height])
    objects = np.array(rows, dtype=float)
    objects[:, 1:] /= size
    return image.clip(0, 255).round().astype(np.uint8), objects


def _free(rng: np.random.Generator, taken: Array) -> tuple[int, int, int, int] | None:
    """Return left, top, width and height, in pixels, of a place that is still free."""
    size = len(taken)
    for _ in range(TRIES):
        width, height = rng.integers(round(SHORTEST * size), round(LONGEST * size) + 1, 2).tolist()
        left, top = rng.integers(size - width + 1), rng.integers(size - height + 1)
        if not taken[top : top + height, left : left + width].any():
            return int(left), int(top), width, height
    return None
