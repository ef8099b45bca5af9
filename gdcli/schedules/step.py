"""Step decay: a few sudden drops, evenly spaced."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Gt, Le

from gdcli.schedule import Schedule


@dataclass(frozen=True)
class Step(Schedule):
    """factor**k after k drops; the drops divide the run into drops + 1 equal parts.

    He et al. (2016) use drops after one third and two thirds of the run.
    """

    factor: Annotated[
        float, "factor by which each drop multiplies the learning rate", Gt(0), Le(1)
    ] = 0.1
    drops: Annotated[int, "number of drops, evenly spaced over the run", Ge(0)] = 2

    def multiplier(self, step: int, horizon: int) -> float:
        """Return factor**k after k drops."""
        return self.factor ** ((self.drops + 1) * step // horizon)
