"""Inverse time: the learning rate falls like 1 / step, however long the run is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge

from gdcli.schedule import Schedule


@dataclass(frozen=True)
class InverseTime(Schedule):
    """1 / (1 + decay * step): SGD converges with it (Robbins and Monro 1951; Bottou 2012).

    It depends on the step, not on the share of the run: a longer run continues a shorter one.
    """

    decay: Annotated[
        float, "decay per step: after 1 / decay steps the learning rate is halved", Ge(0)
    ] = 0.01

    def multiplier(self, step: int, horizon: int) -> float:
        """Return 1 / (1 + decay * step)."""
        return 1 / (1 + self.decay * step)
