"""Warm-up, stable, decay: up, constant for most of the run, then a short cooldown."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Le

from gdcli.schedules.cosine import descent
from gdcli.schedules.linear import Final
from gdcli.schedules.warmup_constant import WarmUp, rise


@dataclass(frozen=True)
class Wsd(WarmUp):
    """A rise, 1, then a fall to `final`, the value after the run (Hu et al. 2024, MiniCPM).

    With s the share of the cooldown that is over, the fall is 1 - s (linear), 1 - sqrt(s) or half a
    cosine (Haegele et al. 2024, who find 1 - sqrt(s) best). Where the rise leaves fewer steps than
    the cooldown would take, the cooldown has those. With `warmup-steps`, runs of several lengths,
    such as --vary steps=1000,2000, are the same until the first cooldown: on one machine, gdcli
    trains that part once.
    """

    cooldown: Annotated[
        float, "share of the run, at its end, in which the learning rate falls", Ge(0), Le(1)
    ] = 0.2
    shape: Annotated[Literal["linear", "1-sqrt", "cosine"], "shape of the cooldown"] = "1-sqrt"
    final: Final = 0.0

    def multiplier(self, step: int, horizon: int) -> float:
        """Return the value of the rise, 1, or the value of the cooldown."""
        rising = self.rising(horizon)
        falling = min(round(self.cooldown * horizon), horizon - rising)
        passed = step - (horizon - falling)
        if passed <= 0:
            return rise(step, rising)
        share = passed / falling
        if self.shape == "cosine":
            return descent(self.final, share)
        return 1 - (1 - self.final) * (math.sqrt(share) if self.shape == "1-sqrt" else share)
