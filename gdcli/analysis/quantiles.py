"""Medians and quartiles that hold where trials diverged: of numbers that may be infinite."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """How numbers are spread: their quartiles and how many there are."""

    low: float  # the first quartile
    median: float
    high: float  # the third quartile
    count: int


def spread(values: Sequence[float]) -> Spread:
    """Return the quartiles of one number or more; none may be NaN."""
    ordered = sorted(values)
    low, middle, high = (quantile(ordered, share) for share in (0.25, 0.5, 0.75))
    return Spread(low, middle, high, len(ordered))


def median(values: Sequence[float]) -> float:
    """Return the median of one number or more; none may be NaN."""
    return quantile(sorted(values), 0.5)


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return a quantile of sorted numbers, interpolated as NumPy does by default.

    Between two infinities it is infinite too, where interpolating them would give NaN.
    """
    whole, part = divmod(share * (len(ordered) - 1), 1)
    low = ordered[int(whole)]
    if part == 0:
        return low
    high = ordered[int(whole) + 1]
    return low if low == high else low + part * (high - low)
