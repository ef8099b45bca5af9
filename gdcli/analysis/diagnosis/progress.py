"""Whether a loss falls on, from its means over equal stretches of the budget."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import inf, sqrt
from typing import NamedTuple

AHEAD = 9.0  # budgets to come: ten times as long in all
FEWEST = 8  # stretches that a trend is told from


class Trend(NamedTuple):
    """What the levels of the second half say."""

    ahead: float  # fall to expect over AHEAD budgets more; negative: it rises
    sure: float  # standard errors by which the last quarter is below the one before


def smooth_trend(levels: Sequence[float]) -> Trend:
    """Return the trend of a loss without noise.

    The fall a stretch is taken to shrink by the same factor each time, as it does near a minimum:
    the factor of the last three levels and that of levels four stretches apart; the less of the
    two falls counts.
    """
    apart = (1, 4) if len(levels) > 2 * 4 else (1,)
    return Trend(min(_geometric(levels, step) for step in apart), inf)


def _geometric(levels: Sequence[float], apart: int) -> float:
    """Return the fall ahead that levels so many stretches apart say."""
    first, second, third = levels[-1 - 2 * apart], levels[-1 - apart], levels[-1]
    before, now = first - second, second - third
    terms = AHEAD * len(levels) / apart
    if now <= 0 or before <= 0:
        return now * terms if now < 0 else 0.0
    factor = now / before
    if factor >= 1:
        return now * terms
    return now * factor * (1 - float(factor**terms)) / (1 - factor)


def noisy_trend(levels: Sequence[float]) -> Trend:
    """Return the trend of a loss with noise that has a memory.

    The standard error is that of what is left of the second half around a straight line, widened
    for the correlation of neighbours (Bartlett's factor for an autoregression of order one, whose
    coefficient is taken larger by what a short series underestimates it).
    """
    half = list(levels[len(levels) // 2 :])
    count = len(half)
    middle, mean = (count - 1) / 2, sum(half) / count
    spread = sum((i - middle) ** 2 for i in range(count))
    slope = sum((i - middle) * (y - mean) for i, y in enumerate(half)) / spread
    rest = [y - mean - slope * (i - middle) for i, y in enumerate(half)]
    square = sum(r * r for r in rest)
    if square <= 0:
        return Trend(-slope * AHEAD * len(levels), inf if slope < 0 else -inf if slope else 0.0)
    memory = sum(a * b for a, b in pairwise(rest)) / square
    memory = min(0.8, max(0.0, memory + (1 + 3 * max(memory, 0.0)) / count))
    error = sqrt(square / (count - 2) / spread * (1 + memory) / (1 - memory))
    quarter = count // 2
    before = sum(half[:quarter]) / quarter
    now = sum(half[-quarter:]) / quarter
    return Trend((before - now) * 2, -slope / error)
