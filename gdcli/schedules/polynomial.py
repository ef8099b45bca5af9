"""Polynomial decay: a power of the share of the run that is left."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Gt

from gdcli.schedule import Schedule
from gdcli.schedules.linear import Final


@dataclass(frozen=True)
class Polynomial(Schedule):
    """final + (1 - final) * (1 - step / horizon)**power: from 1 to `final`, after the run.

    torch's PolynomialLR is the same with `final` 0.
    """

    power: Annotated[float, "power of the share of the run that is left", Gt(0)] = 2.0
    final: Final = 0.0

    def multiplier(self, step: int, horizon: int) -> float:
        """Return the value of the polynomial at this share of the run."""
        return self.final + (1 - self.final) * math.pow(1 - step / horizon, self.power)
