"""How many trials of a seed share a matrix product.

Their bits must not depend on their company. BLAS kernels compute the eight columns of one or two
vector registers by the same instructions, so that a product of always eight trials is safe. Wider
ones are faster. In float64 most kernels give each eight of any number of columns the bits that they
give eight alone; which do is seen at once from a product of equal columns. Those for float32 rarely
do. And where a row times a column is a long sum, OpenBLAS cuts it, or not, by the size of the whole
product (on AVX-512, from some 400 numbers on): such products stay narrow unseen.
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
    from gdcli.experiment.grid import Trial

NARROWEST = 8
WIDEST = 64  # more take a step no faster
LONGEST = 256  # sum of a wide product
STEPS_AT_ONCE = 16  # of the steppers that take several steps on single examples as one


def width_for(
    trials: Sequence[Trial], device: Device, outputs: int, shapes: set[tuple[int, int]]
) -> int:
    """Return how many of the trials of one seed a product has: a multiple of eight.

    `shapes`, (rows, columns), are those of the matrices that a step multiplies by the trials'
    (columns, outputs * width). With none of them it is eight.
    """
    most = max(Counter(trial.seed for trial in trials).values())
    tiles = -(-most // WIDEST)
    width = -(-most // (tiles * NARROWEST)) * NARROWEST
    wide = isinstance(device, NumPy) and device.dtype == "float64" and bool(shapes)
    if width == NARROWEST or not wide or max(inner for _, inner in shapes) > LONGEST:
        return NARROWEST
    safe = all(same_bits(*shape, outputs * NARROWEST, outputs * width) for shape in shapes)
    return width if safe else NARROWEST


@lru_cache(maxsize=64)
def same_bits(rows: int, inner: int, narrow: int, wide: int) -> bool:
    """Return whether a (rows, inner) matrix times equal columns is the same in each of them.

    All of the `wide` columns of one product are compared with the first of `narrow`; the matrix
    once as it lies in memory, once transposed there.
    """
    rng = np.random.default_rng(0)
    column = rng.standard_normal((inner, 1))
    few, many = (np.repeat(column, count, axis=1) for count in (narrow, wide))
    plain, transposed = rng.standard_normal((rows, inner)), rng.standard_normal((inner, rows)).T
    return all(((left @ many) == (left @ few)[:, :1]).all() for left in (plain, transposed))
