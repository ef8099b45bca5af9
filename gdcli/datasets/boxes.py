"""Images with the boxes of the objects in them, as arrays of one shape."""

from __future__ import annotations

from collections.abc import Sequence

from gdcli.problem import Array, Batch

NOTHING = -1  # the class of a place that holds no object


def padded(images: Sequence[Array], objects: Sequence[Array], places: int) -> Batch:
    """Return images and objects as arrays whose first axis is the image.

    images: (height, width, 3) uint8 each. objects: (count, 5) float64 each, rows of class, and
    centre, width and height as parts of the image. "image" has shape (n, 3, height, width), uint8;
    "class" (n, places) int64, NOTHING where an image has fewer objects; "box" (n, places, 4)
    float64.
    """
    import numpy as np

    classes = np.full((len(images), places), NOTHING, dtype=np.int64)
    boxes = np.zeros((len(images), places, 4))
    for i, rows in enumerate(objects):
        classes[i, : len(rows)] = rows[:, 0]
        boxes[i, : len(rows)] = rows[:, 1:]
    pixels = np.stack(images).transpose(0, 3, 1, 2)
    return {"image": np.ascontiguousarray(pixels), "class": classes, "box": boxes}
