"""How far two recordings of a number may lie apart.

Elsewhere, on another processor or with other versions, sums are rounded in another order. A
loss that falls at every recorded point forgets such differences; one that rises now and then
may amplify them, step by step, until nothing but how the trial ended can be compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite

ELSEWHERE = {"float64": 1e-10, "float32": 1e-4}  # of the largest value, by precision
# What a problem adds, such as an accuracy, may jump where these change in the last digit; the
# gradient's norm, near a minimum, loses twice as many digits as the loss.
LOSSES = ("train_loss", "test_loss")


@dataclass(frozen=True)
class Tolerance:
    """The distance that counts as none: `atol`, plus `rtol` times the larger of both values."""

    rtol: float = 0.0
    atol: float = 0.0

    def same(self, recorded: str, found: str, scale: float = 0.0) -> bool:
        """Return whether two cells hold the same: as text, or as numbers that are close enough.

        `scale` is what `rtol` refers to where both values are smaller: a value that approaches
        zero keeps the rounding errors of the larger ones before it.
        """
        try:
            a, b = float(recorded), float(found)
        except ValueError:
            return recorded == found
        if not (isfinite(a) and isfinite(b)):
            return str(a) == str(b)
        return abs(a - b) <= self.atol + self.rtol * max(abs(a), abs(b), scale)


def monotone(losses: Sequence[str], rtol: float) -> bool:
    """Return whether losses, as their cells say, never rise by more than rounding may raise them.

    Losses that are not finite, or no numbers, are not monotone.
    """
    try:
        values = [float(loss) for loss in losses]
    except ValueError:
        return False
    room = rtol * max(map(abs, values), default=0.0)
    finite = all(map(isfinite, values))
    return finite and all(after <= before + room for before, after in pairwise(values))
