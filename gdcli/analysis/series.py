"""What a series of losses does: how it ends, whether it has a trend, how often it rises."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from math import inf, sqrt

QUARTER = 4  # values of a quarter at least, where there are enough: fewer tell no trend from noise


def last_quarters(values: Sequence[float]) -> tuple[Sequence[float], Sequence[float]]:
    """Return the quarter before the last and the last one of two values or more.

    They are equally long: of 4 values where there are fewer than 16, and halves of fewer than 8.
    """
    size = min(max(len(values) // 4, QUARTER), len(values) // 2)
    return values[-2 * size : -size], values[-size:]


def trend(before: Sequence[float], after: Sequence[float]) -> float:
    """Return how surely values rise from `before` to `after`, below 0 how surely they fall.

    It is Mann and Whitney's statistic in standard deviations of what independent noise gives,
    whatever that noise is distributed like; infinite where every pair of values agrees.
    """
    ordered = sorted(after)
    pairs = len(before) * len(after)
    below = sum(bisect_left(ordered, value) + bisect_right(ordered, value) for value in before) / 2
    if below in (0, pairs):
        return inf if below == 0 else -inf
    return (pairs / 2 - below) / sqrt(pairs * (len(before) + len(after) + 1) / 12)


def rises(values: Sequence[float], least: float) -> list[float]:
    """Return the heights of the rises by more than `least`, from a low to the high after it.

    A dip of at most `least` on the way does not end a rise, so noise does not cut it into pieces.
    """
    found = []
    low = high = values[0] if values else 0.0
    for value in values:
        if value > high:
            high = value
        elif value < low or high - value > least:
            if high - low > least:
                found.append(high - low)
            low = high = value
    if high - low > least:
        found.append(high - low)
    return found
