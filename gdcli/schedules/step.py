"""A few sudden drops, evenly spaced."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Gt, Le

from gdcli.schedule import Schedule


@dataclass(frozen=True)
class Step(Schedule):
    """factor**k after k of the drops, which cut the run into drops + 1 equal parts.

    The staircase of He et al. (2016), whose drops fell a third and two thirds of the way.
    """

    factor: Annotated[float, "multiplier of one drop", Gt(0), Le(1)] = 0.1
    drops: Annotated[int, "number of drops", Ge(0)] = 2

    def multiplier(self, step: int, horizon: int) -> float:
        """Return the factor, once for each drop behind."""
        return self.factor ** ((self.drops + 1) * step // horizon)
