"""Bootstrap intervals of a median: the same numbers give the same interval everywhere."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

RESAMPLES = 4000
LEVEL = 0.95
FEWEST = 3  # numbers; of one or two there is nothing to resample


@dataclass(frozen=True)
class Interval:
    """The ends of an interval, which may be infinite where trials diverged."""

    low: float
    high: float


def median_interval(values: Sequence[float]) -> Interval | None:
    """Return the percentile bootstrap 95% interval of the median; None of too few numbers.

    None may be NaN. Its ends are medians of resamples, never between two of them: some are inf.
    Of fewer than six numbers it covers the median less often than it says, for no interval
    between the least and the largest of them does.
    """
    if len(values) < FEWEST:
        return None
    drawn = np.sort(np.asarray(values, float)[_resamples(len(values))], axis=1)
    middle = drawn.shape[1] // 2
    lower = drawn[:, middle] if drawn.shape[1] % 2 else drawn[:, middle - 1]
    with np.errstate(invalid="ignore"):
        means = np.where(lower == drawn[:, middle], lower, lower / 2 + drawn[:, middle] / 2)
    medians = np.sort(np.where(np.isnan(means), 0.0, means))  # half-way between -inf and inf
    tail = int(RESAMPLES * (1 - LEVEL) / 2)
    return Interval(float(medians[tail]), float(medians[-1 - tail]))


@lru_cache(maxsize=64)
def _resamples(count: int) -> NDArray[np.int64]:
    """Return which of `count` numbers each resample has, shape (RESAMPLES, count)."""
    # Python promises the same sequence in every version; NumPy's generators do not.
    draw = random.Random(count).random  # noqa: S311 -- no secret
    uniform = [[draw() for _ in range(count)] for _ in range(RESAMPLES)]
    return (np.array(uniform) * count).astype(np.int64)
