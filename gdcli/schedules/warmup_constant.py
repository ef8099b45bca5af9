"""Warm-up, then constant: a straight line up to the learning rate, which stays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, TypeAlias

from annotated_types import Ge, Gt, Le

from gdcli.schedule import Schedule

Rise: TypeAlias = Annotated[
    float, "share of the run in which the learning rate rises", Ge(0), Le(1)
]


@dataclass(frozen=True)
class WarmUp(Schedule):
    """A linear rise at the beginning, which other schedules continue (Goyal et al. 2017)."""

    warmup: Rise = 0.1
    warmup_steps: Annotated[
        int | None, "steps in which the learning rate rises, instead of a share of the run", Ge(0)
    ] = None

    def rising(self, horizon: int) -> int:
        """Return the number of steps in which the learning rate rises, at most `horizon`."""
        steps = self.warmup_steps
        return round(self.warmup * horizon) if steps is None else min(steps, horizon)


@dataclass(frozen=True)
class WarmupConstant(WarmUp):
    """A line from `start` to 1, then 1: torch's LinearLR with start_factor = `start`.

    Without `start` it is 1 / (steps of the rise + 1), so that no step stands still.
    """

    start: Annotated[
        float | None,
        "multiplier in the first step (default: 1 / (steps of the rise + 1))",
        Gt(0),
        Le(1),
    ] = None

    def multiplier(self, step: int, horizon: int) -> float:
        """Return the value of the line, 1 after it."""
        return rise(step, self.rising(horizon), self.start)


def rise(step: int, rising: int, start: float | None = None) -> float:
    """Return the value at a step of the line from `start` (step 0) to 1 (step `rising`)."""
    if step >= rising:
        return 1.0
    if start is None:
        return (step + 1) / (rising + 1)
    return start + (1 - start) * (step / rising)
