"""How many trials of a seed share a matrix product.

Their bits must not depend on their company. BLAS kernels treat the eight columns of one or two
vector registers alike, so that a product of always eight trials is safe. Wider ones are faster. In
float64 most kernels give each eight of any number of columns the bits that they give eight alone;
which do is seen at once from a product of equal columns. Those for float32 rarely do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from gdcli.engine.device import NumPy

if TYPE_CHECKING:
    from gdcli.engine.device import Device
    from gdcli.grid import Trial

EIGHT = 8
MOST = 64  # more take a step no faster
STEPS = 16  # on single examples, that are taken as one


def width_for(
    trials: Sequence[Trial], device: Device, outputs: int, shapes: set[tuple[int, int]]
) -> int:
    """Return how many of the trials of one seed a product has: a multiple of eight.

    `shapes` are those of what is multiplied with the trials: rows, columns. None: eight.
    """
    most = max(Counter(trial.seed for trial in trials).values())
    tiles = -(-most // MOST)
    width = -(-most // (tiles * EIGHT)) * EIGHT
    fast = isinstance(device, NumPy) and device.dtype == "float64" and shapes
    if width == EIGHT or not fast:
        return EIGHT
    alike = all(treats_alike(*shape, outputs * EIGHT, outputs * width) for shape in shapes)
    return width if alike else EIGHT


@lru_cache(maxsize=64)
def treats_alike(rows: int, inner: int, few: int, many: int) -> bool:
    """Return whether a product has equal bits in all of many columns, and in fewer."""
    rng = np.random.default_rng(0)
    column = rng.standard_normal((inner, 1))
    narrow, wide = (np.repeat(column, count, axis=1) for count in (few, many))
    plain, turned = rng.standard_normal((rows, inner)), rng.standard_normal((inner, rows)).T
    return all(((left @ wide) == (left @ narrow)[:, :1]).all() for left in (plain, turned))
