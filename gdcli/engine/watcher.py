"""Watches the trials of a batch at fixed steps, and finds the step at which a loss breaks out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gdcli.arrays import namespace
from gdcli.engine.trajectory import Trajectory
from gdcli.engine.watched import CAUSES, Watched
from gdcli.problem import Array, Params

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gdcli.engine.program import Evaluation, Program

MEASURES = ("train_loss", "grad_norm", "test_loss")
GROWTH, OVERFLOW, NAN = (CAUSES.index(cause) for cause in ("growth", "overflow", "nan"))


def copied(arrays: Params) -> Params:
    """Return arrays that no step changes."""
    return {name: namespace(a).asarray(a, copy=True) for name, a in arrays.items()}


class Watcher:
    """Collects what is evaluated at the watched steps; arrays have the shape of the lanes."""

    def __init__(self, program: Program, watched: Watched, horizon: int) -> None:
        """Begin before the start, with every loss in bounds."""
        self.program, self.watched, self.horizon = program, watched, horizon
        self.wanted = frozenset(watched.steps)
        self.steps: list[int] = []
        self.points: list[Array] = []  # measures of a step, stacked: they stay on the device
        self.names: list[str] = []
        lanes = program.device.array(np.full(program.lanes.shape, -1))
        self.crossed, self.within, self.cause = lanes, lanes, lanes + 1
        self.gradient: Params = {}  # one step before the end, of full-batch descent
        self.turn = program.device.array(np.full(program.lanes.shape, np.nan))

    @property
    def last(self) -> int:
        """The last watched step so far, 0 before the first."""
        return self.steps[-1] if self.steps else 0

    def add(self, step: int, evaluation: Evaluation) -> None:
        """Keep a watched step; any other is none of it."""
        if step not in self.wanted:
            return
        values = evaluation.values
        self.names = [name for name in MEASURES if name in values]
        self.steps.append(step)
        self.points.append(namespace(self.turn).stack([values[name] for name in self.names]))
        if self.watched.singles:
            if step == self.horizon and self.gradient:
                self.turn = self._cosine(self.gradient, evaluation.gradient)
            before_last = step == self.horizon - 1
            self.gradient = copied(evaluation.gradient) if before_last else {}

    def _cosine(self, before: Params, after: Params) -> Array:
        """Return the cosine of the angle between two gradients, nan where one of them is 0."""
        # Divided by their lengths first: the square of a small gradient is 0.
        first, second = (self._unit(gradient) for gradient in (before, after))
        return sum(self.program.total(first[name] * second[name]) for name in first)

    def _unit(self, gradient: Params) -> Params:
        norm = self.program.norm(gradient)
        return {name: array / self.program.over(norm, array) for name, array in gradient.items()}

    def beyond(self, loss: Array, limit: Array, params: Params) -> Array:
        """Return which lanes are out of bounds: not finite, or a loss above its limit."""
        xp = namespace(loss)
        return ~((abs(loss) <= limit) & xp.isfinite(loss) & self.program.finite(params))

    def cross(self, lanes: Array, after: int, step: int, loss: Array, limit: Array) -> None:
        """Note that lanes whose crossing is not known yet are out of bounds from `step` on."""
        xp = namespace(loss)
        lanes = lanes & (self.crossed < 0)
        grown = xp.isfinite(loss) & (abs(loss) > limit)  # else a parameter is not finite
        cause = xp.where(xp.isnan(loss), NAN, xp.where(grown, GROWTH, OVERFLOW))
        self.crossed = xp.where(lanes, step, self.crossed)
        self.within = xp.where(lanes, after, self.within)
        self.cause = xp.where(lanes, cause, self.cause)

    def packed(self) -> dict[str, NDArray[Any]]:
        """Return what was watched, as named arrays."""
        host = self.program.device.host
        held = {"crossed": self.crossed, "within": self.within, "cause": self.cause}
        return {
            "watched steps": np.array(self.steps, np.int64),
            "watched names": np.array(self.names),
            "watched points": np.stack([host(point) for point in self.points]),
            **{f"watched {name}": host(array) for name, array in held.items()},
            **{f"watched gradient {n}": host(array) for n, array in self.gradient.items()},
        }

    def unpack(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Go on from what was packed."""
        array, prefix = self.program.device.array, "watched gradient "
        self.steps = arrays["watched steps"].tolist()
        self.names = arrays["watched names"].tolist()
        self.points = list(map(array, arrays["watched points"]))
        self.crossed, self.within, self.cause = (
            array(arrays[f"watched {name}"]) for name in ("crossed", "within", "cause")
        )
        own = (name for name in arrays if name.startswith(prefix))
        self.gradient = {name.removeprefix(prefix): array(arrays[name]) for name in own}

    def trajectory(self, last: NDArray[np.int64], curvature: Array, dead: Array) -> Trajectory:
        """Return what was watched of the trials, whose last steps are given."""
        lanes, host = self.program.lanes, self.program.device.host
        points = lanes.gather(np.stack([host(point) for point in self.points]))
        held = (self.crossed, self.within, self.cause, self.turn, curvature, dead)
        return Trajectory(
            self.watched,
            self.horizon,
            np.array(self.steps, np.int64),
            {name: points[:, i] for i, name in enumerate(self.names)},
            last,
            *(lanes.gather(host(array)) for array in held),
        )
