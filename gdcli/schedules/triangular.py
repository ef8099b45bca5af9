"""Triangular: a straight line up and a straight line down, several times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Gt, Le, Lt

from gdcli.schedule import Schedule


@dataclass(frozen=True)
class Triangular(Schedule):
    """Cycles from `start` to 1 and back, which fill the run (Smith 2017).

    torch's CyclicLR is the same with mode triangular, and with triangular2 where `factor` is 0.5.
    The value after the run is `start`. A cycle of less than two steps has no room to rise: then the
    multiplier is 1.
    """

    cycles: Annotated[int, "number of cycles", Ge(1)] = 4
    start: Annotated[
        float, "multiplier of the learning rate where each cycle begins", Gt(0), Le(1)
    ] = 0.25
    rise: Annotated[float, "share of a cycle in which the learning rate rises", Gt(0), Lt(1)] = 0.5
    factor: Annotated[
        float, "factor by which the height of each cycle shrinks after the one before", Gt(0), Le(1)
    ] = 1.0

    def multiplier(self, step: int, horizon: int) -> float:
        """Return the value of the cycle that the step is in."""
        if horizon < 2 * self.cycles:
            return 1.0
        cycle, passed = divmod(step * self.cycles, horizon)
        share = passed / horizon
        height = share / self.rise if share < self.rise else (1 - share) / (1 - self.rise)
        return self.start + (1 - self.start) * height * self.factor**cycle
