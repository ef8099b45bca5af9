"""Inverse time: the multiplier falls like 1 / step, whatever the length of the run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge

from gdcli.schedule import Schedule


@dataclass(frozen=True)
class InverseTime(Schedule):
    """1 / (1 + decay * step): SGD converges under it (Robbins and Monro 1951; Bottou 2012).

    Counted in steps, not in shares of the run: a longer run continues a shorter one.
    """

    decay: Annotated[float, "decay a step: 1 / decay steps halve the rate", Ge(0)] = 0.01

    def multiplier(self, step: int, horizon: int) -> float:
        """Return the inverse of the time passed."""
        return 1 / (1 + self.decay * step)
