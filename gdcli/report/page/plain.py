"""Numbers as the page's JSON has them."""

from __future__ import annotations

from math import isfinite

DIGITS = 4  # of a value of a curve


def plain(value: float, digits: int = DIGITS) -> float | str:
    """Return a number short enough for a chart; inf and nan, which JSON has not, as text."""
    if not isfinite(value):
        return str(value)
    short = float(f"{value:.{digits}g}")
    return int(short) if short.is_integer() and abs(short) < 10**digits else short
