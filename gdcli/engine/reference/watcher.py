"""What is watched of one trial at steps that do not depend on what is recorded."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from gdcli.engine.trajectory import Trajectory
from gdcli.engine.watched import CAUSES, Watched

if TYPE_CHECKING:
    from gdcli.engine.reference.objective import Tensors

MEASURES = ("train_loss", "grad_norm", "test_loss")


class Watcher:
    """Collects the measures of the watched steps."""

    def __init__(self, watched: Watched, horizon: int) -> None:
        """Begin before the start."""
        self.watched, self.horizon, self.wanted = watched, horizon, frozenset(watched.steps)
        self.steps: list[int] = []
        self.values: dict[str, list[float]] = {}
        self.sound = 0  # the last step known to be in bounds
        self.crossed, self.cause = -1, ""

    def add(self, step: int, measures: Tensors, *, beyond: bool) -> None:
        """Keep a watched step, and note the first point that is out of bounds."""
        if beyond and self.crossed < 0:
            loss = float(measures["train_loss"])
            self.crossed = step
            self.cause = (
                "nan" if math.isnan(loss) else "growth" if math.isfinite(loss) else "overflow"
            )
        elif self.crossed < 0:
            self.sound = step
        if step in self.wanted:
            self.steps.append(step)
            for name in MEASURES:
                if name in measures:
                    self.values.setdefault(name, []).append(float(measures[name]))

    def trajectory(self, last: int) -> Trajectory:
        """Return what was watched, as that of a batch of this trial alone."""
        unknown = np.array([np.nan])
        return Trajectory(
            self.watched,
            self.horizon,
            np.array(self.steps),
            {name: np.array([values]).T for name, values in self.values.items()},
            np.array([last]),
            crossed=np.array([self.crossed]),
            within=np.array([min(self.sound, self.crossed)]),
            cause=np.array([CAUSES.index(self.cause)]),
            turn=unknown,
            curvature=unknown,
            dead=unknown,
        )
