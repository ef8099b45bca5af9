"""Numbers as the page's JSON has them."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from math import inf, isfinite
from typing import Any

DIGITS = 4  # of a value of a curve
LARGEST = 9999  # the digits as a whole number
POWERS = 640  # of 10, from 10 ** -LEAST_POWER on: all that floats have
LEAST_POWER = 327


def plain(value: float, digits: int = DIGITS) -> float | str:
    """Return a number short enough for a chart; inf and nan, which JSON has not, as text."""
    if not isfinite(value):
        return str(value)
    short = float(f"{value:.{digits}g}")
    return int(short) if short.is_integer() and abs(short) < 10**digits else short


def packed(values: Sequence[float]) -> str:
    """Return numbers in four digits, each as 3 bytes: a third less than their text; in base 64.

    The bytes are a whole number: 0 for nan, 1 for inf, 2 for -inf; from 3 on the digits, from
    -LARGEST on, times POWERS, plus the power of 10.
    """
    import numpy as np

    given = np.asarray(values, float)
    size = np.abs(given)
    sure = (size > 1e-280) & (size < 1e280)
    size[~sure] = 1.0
    power = np.floor(np.log10(size)).astype(int) - (DIGITS - 1)
    exact = size / 10.0**power
    digits = np.rint(exact)
    # The nearest digits are these, but where rounding errors could have turned them.
    sure &= (np.abs(exact - np.floor(exact) - 0.5) > 1e-6) & (digits > 1000) & (digits < LARGEST)
    codes = _coded(np.copysign(digits, given).astype(int), power)
    for place in np.flatnonzero(~sure).tolist():
        codes[place] = _code(float(given[place]))
    bytes_ = codes.astype(">u4").view("u1").reshape(-1, 4)[:, 1:]
    return b64encode(bytes_.tobytes()).decode()


def _code(value: float) -> int:
    if not isfinite(value):
        return 1 if value == inf else 2 if value == -inf else 0
    digits, power = f"{value:.{DIGITS - 1}e}".split("e")
    code: int = _coded(int(digits.replace(".", "")), int(power) - (DIGITS - 1))
    return code


def _coded(digits: Any, power: Any) -> Any:
    return 3 + (digits + LARGEST) * POWERS + power + LEAST_POWER
