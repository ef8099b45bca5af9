"""Half a cosine down: slow at first, fast midway, slow at the end."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Le

from gdcli.schedule import Schedule


@dataclass(frozen=True)
class Cosine(Schedule):
    """From 1 to `final`, which follows the last step (Loshchilov and Hutter 2017, no restarts)."""

    final: Annotated[float, "multiplier at the end of the run", Ge(0), Le(1)] = 0.0

    def multiplier(self, step: int, horizon: int) -> float:
        """Return the point of the cosine that the run's elapsed share says."""
        return descent(self.final, step / horizon)


def descent(final: float, share: float) -> float:
    """Return the point a share of the way from 1 down to `final`, along half a cosine."""
    return final + (1 - final) * (1 + math.cos(math.pi * share)) / 2
