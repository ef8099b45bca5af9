"""Cosine decay: half a cosine from the learning rate down; slow at first and at the end."""

from __future__ import annotations

import math
from dataclasses import dataclass

from gdcli.schedule import Schedule
from gdcli.schedules.linear import Final


@dataclass(frozen=True)
class Cosine(Schedule):
    """Half a cosine from 1 to `final`, the value after the run (Loshchilov and Hutter 2017)."""

    final: Final = 0.0

    def multiplier(self, step: int, horizon: int) -> float:
        """Return the value of the cosine at this share of the run."""
        return descent(self.final, step / horizon)


def descent(final: float, share: float) -> float:
    """Return half a cosine from 1 (share 0) down to `final` (share 1)."""
    return final + (1 - final) * (1 + math.cos(math.pi * share)) / 2
