"""Whether a loss falls on, from its means over equal stretches of the budget."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import inf, prod, sqrt
from typing import NamedTuple

AHEAD = 9.0  # budgets to come: ten times as long in all
FEWEST = 8  # stretches that a trend is told from


class Trend(NamedTuple):
    """What the levels of the second half say."""

    ahead: float  # fall to expect over AHEAD budgets more; negative: it rises
    sure: float  # standard errors by which the last quarter is below the one before


def smooth_trend(levels: Sequence[float]) -> Trend:
    """Return the trend of a loss without noise.

    The fall a stretch is taken to shrink by the same factor each time, as it does near a minimum.
    Levels two and four stretches apart say which; what counts is the geometric mean of both falls.
    """
    falls = [_geometric(levels, apart) for apart in (2, 4) if len(levels) > 2 * apart]
    if min(falls) <= 0:
        return Trend(min(falls), inf)
    return Trend(prod(falls) ** (1 / len(falls)), inf)


def _geometric(levels: Sequence[float], apart: int) -> float:
    """Return the fall ahead that levels so many stretches apart say."""
    before = levels[-1 - 2 * apart] - levels[-1 - apart]
    now = levels[-1 - apart] - levels[-1]
    return _series(before, now, AHEAD * len(levels) / apart)


def _series(before: float, now: float, terms: float) -> float:
    """Return the sum of falls to come, each the same multiple of the one before it."""
    if now <= 0 or before <= 0:
        return min(now, 0.0) * terms
    factor = min(now / before, 1.0)
    if factor == 1:
        return now * terms
    return now * factor * (1 - float(factor**terms)) / (1 - factor)


def noisy_trend(levels: Sequence[float]) -> Trend:
    """Return the trend of a loss that swings, or has noise with a memory.

    The fall ahead is that of the means over quarters of the budget. The standard error is that of
    what is left of the second half around a straight line, widened for the correlation of
    neighbours: Bartlett's factor for an autoregression of order one, whose coefficient is taken
    larger by what a short series underestimates it.
    """
    half = list(levels[len(levels) // 2 :])
    count = len(half)
    middle, mean = (count - 1) / 2, sum(half) / count
    spread = sum((i - middle) ** 2 for i in range(count))
    slope = sum((i - middle) * (y - mean) for i, y in enumerate(half)) / spread
    rest = [y - mean - slope * (i - middle) for i, y in enumerate(half)]
    square = sum(r * r for r in rest)
    ahead = _ahead(levels)
    if square <= 0:
        return Trend(ahead, inf if slope < 0 else -inf if slope else 0.0)
    memory = sum(a * b for a, b in pairwise(rest)) / square
    memory = min(0.8, max(0.0, memory + (1 + 3 * max(memory, 0.0)) / count))
    error = sqrt(square / (count - 2) / spread * (1 + memory) / (1 - memory))
    return Trend(ahead, -slope / error)


def _ahead(levels: Sequence[float]) -> float:
    """Return the fall ahead by the means over the last three quarters of the budget."""
    size = len(levels) // 4
    parts = [levels[-3 * size : -2 * size], levels[-2 * size : -size], levels[-size:]]
    first, second, third = (sum(part) / size for part in parts)
    before, now = first - second, second - third
    return _series(before, now, 4 * AHEAD) if before > 0 else now
