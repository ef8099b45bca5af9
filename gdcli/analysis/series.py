"""What a series of losses does: how it ends, whether it has a trend, how often it rises."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence


def last_quarters(values: Sequence[float]) -> tuple[Sequence[float], Sequence[float]]:
    """Return the quarter before the last and the last one, each of one value at least.

    There must be two values or more.
    """
    size = max(1, len(values) // 4)
    return values[-2 * size : -size], values[-size:]


def share_below(before: Sequence[float], after: Sequence[float]) -> float:
    """Return the share of pairs in which the value of `after` is below that of `before`.

    Ties count half. 1: it falls without exception; about 0.5: noise around a level. It is the
    statistic of Mann and Whitney's test, which holds whatever the noise is distributed like.
    """
    ordered = sorted(after)
    below = sum(bisect_left(ordered, value) + bisect_right(ordered, value) for value in before)
    return below / (2 * len(before) * len(after))


def rises(values: Sequence[float], least: float) -> list[float]:
    """Return the heights of the rises by more than `least`, from a low to the high after it.

    A dip of at most `least` on the way does not end a rise, so noise does not cut it into pieces.
    """
    found = []
    low = high = values[0] if values else 0.0
    for value in values:
        high = max(high, value)
        if value < low or high - value > least:
            found.append(high - low)
            low = high = value
    return [height for height in [*found, high - low] if height > least]
