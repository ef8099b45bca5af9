"""Reduce on plateau: the learning rate falls when the training loss no longer does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Gt, Le, Lt

from gdcli.schedule import FeedbackSchedule, Memory


@dataclass(frozen=True)
class ReduceOnPlateau(FeedbackSchedule):
    """Times `factor` after more than `patience` recorded losses without a new lowest one.

    torch's ReduceLROnPlateau of the recorded training losses, the one at the start included, with
    its relative threshold. `least` is its min_lr over the learning rate; its eps, below which it
    leaves the learning rate as it is, is 0 here.
    """

    factor: Annotated[
        float, "factor by which each reduction multiplies the learning rate", Gt(0), Lt(1)
    ] = 0.1
    patience: Annotated[int, "most recorded points in a row without a new lowest loss", Ge(0)] = 10
    threshold: Annotated[
        float, "a loss is a new lowest one if it is lower by more than this share", Ge(0), Lt(1)
    ] = 1e-4
    cooldown: Annotated[int, "recorded points after a reduction that do not count", Ge(0)] = 0
    least: Annotated[float, "smallest multiplier of the learning rate", Ge(0), Le(1)] = 0.0

    def start(self) -> Memory:
        """Return the multiplier 1, and no loss so far."""
        return {"multiplier": 1.0, "best": float("inf"), "bad": 0, "cooling": 0}

    def observed(self, memory: Memory, loss: float) -> Memory:
        """Return what is known after another loss."""
        multiplier, best, bad, cooling = memory.values()
        if loss < best * (1 - self.threshold):
            best, bad = loss, 0
        else:
            bad += 1
        if cooling > 0:
            cooling, bad = cooling - 1, 0
        if bad > self.patience:
            multiplier = max(multiplier * self.factor, self.least)
            cooling, bad = self.cooldown, 0
        return {"multiplier": multiplier, "best": best, "bad": bad, "cooling": cooling}
