"""The laws of a schedule."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

from gdcli.laws.law import Law, require
from gdcli.laws.options import options
from gdcli.laws.trials import FEW, alone_as_together, trials_of
from gdcli.problems.quadratic import Quadratic
from gdcli.schedule import Schedule

HORIZONS = (1, 2, 7, 100, 12345)


@dataclass(frozen=True)
class ScheduleLaws:
    """A schedule, and what it must keep to."""

    schedule: type[Schedule]

    def __iter__(self) -> Iterator[tuple[str, Law]]:
        """Yield the laws by name, those first that others build upon."""
        yield "options", partial(options, self.schedule)
        yield "values", self.values
        yield "determinism", self.determinism
        yield "grid", self.grid

    def values(self) -> str:
        """Require multipliers to be plain, finite numbers of at least 0."""
        ends = math.inf, -math.inf
        for horizon in HORIZONS:
            for step in range(horizon):
                value = self.schedule().multiplier(step, horizon)
                where = f"at step {step} of {horizon}"
                plain = isinstance(value, int | float)
                require(plain, f"the multiplier {where} is a {type(value).__name__}, no number")
                require(math.isfinite(value) and value >= 0, f"the multiplier {where} is {value}")
                ends = min(ends[0], value), max(ends[1], value)
        return f"from {ends[0]:.6g} to {ends[1]:.6g}"

    def determinism(self) -> str:
        """Require the same multiplier of a step, whatever was asked before."""
        schedule = self.schedule()
        ahead = [schedule.multiplier(step, 50) for step in range(50)]
        back = [schedule.multiplier(step, 50) for step in reversed(range(50))]
        require(ahead == back[::-1], "a step's multiplier depends on what was asked before")
        return "forwards and backwards the same"

    def grid(self) -> str:
        """Require the same bits of a trial alone as in a grid."""
        trials = trials_of(Quadratic, {}, FEW, lr=(0.01, 0.02, 0.1))
        trials = tuple(replace(trial, schedule=self.schedule()) for trial in trials)
        return alone_as_together(trials, trials[1])
