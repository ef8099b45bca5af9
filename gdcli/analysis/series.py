"""How a series of losses ends."""

from __future__ import annotations

from collections.abc import Sequence

QUARTER = 4  # values at least, where there are enough: fewer tell no level from noise


def last_quarter(values: Sequence[float]) -> Sequence[float]:
    """Return the last quarter of two values or more.

    It has 4 values where there are fewer than 16, and half of fewer than 8.
    """
    return values[-min(max(len(values) // 4, QUARTER), len(values) // 2) :]
