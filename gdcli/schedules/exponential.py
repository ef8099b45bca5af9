"""Exponential decay: the same factor every step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Gt, Le

from gdcli.schedule import Schedule


@dataclass(frozen=True)
class Exponential(Schedule):
    """final**(step / horizon): geometric from 1 to `final`, which follows the last step."""

    final: Annotated[float, "multiplier at the end of the run", Gt(0), Le(1)] = 0.01

    def multiplier(self, step: int, horizon: int) -> float:
        """Return the power of `final` that the run's elapsed share says."""
        return math.pow(self.final, step / horizon)
