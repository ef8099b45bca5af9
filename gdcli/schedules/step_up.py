"""Step up: a few sudden rises, evenly spaced; for --schedule-for batch-size."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Gt, Le

from gdcli.schedule import Schedule


@dataclass(frozen=True)
class StepUp(Schedule):
    """From `start` to 1 in rises by the same factor, the mirror image of Step.

    The default doubles twice. Smith et al. (2018) let the batch grow so instead of letting the
    learning rate fall. A run of one step has the multiplier 1.
    """

    start: Annotated[float, "multiplier in the first part of the run", Gt(0), Le(1)] = 0.25
    rises: Annotated[int, "number of rises, evenly spaced over the run", Ge(0)] = 2

    def multiplier(self, step: int, horizon: int) -> float:
        """Return start**(share of the rises that are left)."""
        left = (self.rises + 1) * (horizon - 1 - step) // horizon
        return math.pow(self.start, left / self.rises) if left else 1.0
