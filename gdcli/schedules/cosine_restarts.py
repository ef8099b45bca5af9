"""Cosine with restarts: half a cosine down, and back to the learning rate, several times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Le

from gdcli.schedule import Schedule
from gdcli.schedules.cosine import descent


@dataclass(frozen=True)
class CosineRestarts(Schedule):
    """Cosines from 1 to `final`, restarts + 1 of them (SGDR; Loshchilov and Hutter 2017).

    They fill the run, and each is `growth` times as long as the one before. torch's
    CosineAnnealingWarmRestarts is the same where the lengths are whole numbers of steps.
    """

    restarts: Annotated[int, "number of restarts", Ge(0)] = 2
    growth: Annotated[int, "length of each cosine over that of the one before", Ge(1)] = 2
    final: Annotated[
        float, "multiplier of the learning rate at the end of each cosine", Ge(0), Le(1)
    ] = 0.0

    def multiplier(self, step: int, horizon: int) -> float:
        """Return the value of the cosine that the step is in.

        In whole numbers: a restart is at its step, whatever a float of its share rounds to.
        """
        # The first cosine is one unit long, and `whole` of them fill the run.
        unit, length, whole = 1, 1, 1
        for _ in range(self.restarts):
            unit *= self.growth
            whole += unit
        passed = step * whole  # in parts of a unit, each of which has `horizon` of them
        while passed >= length * horizon:
            passed -= length * horizon
            length *= self.growth
        return descent(self.final, passed / (length * horizon))
