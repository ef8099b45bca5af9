"""The momentum of one cycle: down along half a cosine, then up again; for --schedule-for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Gt, Le

from gdcli.schedule import Schedule
from gdcli.schedules.cosine import descent
from gdcli.schedules.warmup_constant import Rise


@dataclass(frozen=True)
class OneCycleMomentum(Schedule):
    """From 1 down to `low`, where OneCycle is at its peak, up to 1 at the last step (Smith 2018).

    torch's OneCycleLR with cosine annealing moves the momentum so. The default goes from 0.95 to
    0.85 where the momentum is 0.95. A run of one step has the multiplier 1.
    """

    low: Annotated[float, "multiplier where the learning rate is at its peak", Gt(0), Le(1)] = (
        0.85 / 0.95
    )
    warmup: Rise = 0.3

    def multiplier(self, step: int, horizon: int) -> float:
        """Return the value of the cycle; if the run is too short to fall, it starts at `low`."""
        if horizon == 1:
            return 1.0
        peak = max(self.warmup * horizon - 1, 0.0)
        if step < peak:
            return descent(self.low, step / peak)
        rising = horizon - 1 - peak
        return descent(self.low, 1 - (step - peak) / rising if rising else 1.0)
