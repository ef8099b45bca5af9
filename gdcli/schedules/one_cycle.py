"""One cycle: up along half a cosine, then down far below the start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Gt, Le

from gdcli.schedule import Schedule
from gdcli.schedules.cosine import descent
from gdcli.schedules.warmup_constant import Rise


@dataclass(frozen=True)
class OneCycle(Schedule):
    """From `start` up to 1, then down to `final` at the last step (Smith 2018).

    Like torch.optim's OneCycleLR with cosine annealing, but the momentum does not change.
    """

    start: Annotated[float, "multiplier of the learning rate in the first step", Gt(0), Le(1)] = (
        0.04
    )
    final: Annotated[float, "multiplier of the learning rate in the last step", Ge(0), Le(1)] = 1e-4
    warmup: Rise = 0.3

    def multiplier(self, step: int, horizon: int) -> float:
        """Return the value of the cycle; if the run is too short to rise, it starts at 1."""
        peak = max(self.warmup * horizon - 1, 0.0)
        if step < peak:
            return descent(self.start, 1 - step / peak)
        falling = horizon - 1 - peak
        return descent(self.final, (step - peak) / falling if falling else 0.0)
