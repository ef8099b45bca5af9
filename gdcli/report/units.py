"""Times and sizes as a person says them."""

from __future__ import annotations

from math import isfinite

SIZES = ("B", "kB", "MB", "GB", "TB", "PB")


def duration(seconds: float) -> str:
    """Return a time: "0.8 s", "3 min 20 s", "2 h 5 min"; unknown where it is not finite."""
    if not isfinite(seconds):
        return "unknown"
    if round(seconds) < 60:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def size(count: float) -> str:
    """Return a number of bytes in decimal units: "1.2 MB"."""
    unit = 0
    while count >= 999.5 and unit < len(SIZES) - 1:
        count, unit = count / 1000, unit + 1
    return f"{count:.3g} {SIZES[unit]}"
