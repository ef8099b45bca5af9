"""Exponential decay: the learning rate is multiplied by the same factor in every step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Gt, Le

from gdcli.schedule import Schedule


@dataclass(frozen=True)
class Exponential(Schedule):
    """final**(step / horizon): geometric from 1 to `final`, which is the value after the run."""

    final: Annotated[
        float, "multiplier of the learning rate at the end of the run", Gt(0), Le(1)
    ] = 0.01

    def multiplier(self, step: int, horizon: int) -> float:
        """Return `final` to the power of the share of the run."""
        return math.pow(self.final, step / horizon)
