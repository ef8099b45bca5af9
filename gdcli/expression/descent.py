"""Gradient descent on a formula, one step after another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from gdcli.expression.formula import Formula
from gdcli.expression.graph import backward, forward
from gdcli.expression.operations import Numbers


@dataclass(frozen=True)
class Step:
    """One step: where it begins, and by how much each weight moves; all by weight."""

    number: int
    weights: Mapping[str, float]
    loss: float
    gradient: Mapping[str, float]
    move: Mapping[str, float]  # learning rate times gradient
    updated: Mapping[str, float]

    @property
    def finite(self) -> bool:
        """Whether the loss and the updated weights are numbers."""
        return bool(np.isfinite([self.loss, *self.updated.values()]).all())


@dataclass(frozen=True)
class Descent:
    """The steps on a formula, up to the first that is not finite."""

    formula: Formula
    steps: tuple[Step, ...]

    @property
    def points(self) -> list[dict[str, float]]:
        """The start, and the weights after each step."""
        return [dict(self.steps[0].weights), *(dict(step.updated) for step in self.steps)]

    @property
    def end(self) -> float:
        """The loss after the last step; it may be inf or nan."""
        return float(losses_at(self.formula, self.points[-1]))


def descend(formula: Formula, start: Mapping[str, float], lr: float, steps: int) -> Descent:
    """Return gradient descent from a start: the plain rule, weight - lr * gradient."""
    taken: list[Step] = []
    weights = dict(start)
    while len(taken) < steps and (not taken or taken[-1].finite):
        taken.append(_step(formula, len(taken) + 1, weights, lr))
        weights = dict(taken[-1].updated)
    return Descent(formula, tuple(taken))


def losses_at(formula: Formula, weights: Mapping[str, Numbers | float]) -> Numbers:
    """Return the formula's values, elementwise over arrays of weights; they may be inf or nan."""
    with np.errstate(all="ignore"):
        return forward(formula.nodes, {n: np.float64(w) for n, w in weights.items()})[-1]


def _step(formula: Formula, number: int, weights: Mapping[str, float], lr: float) -> Step:
    point = {name: np.float64(value) for name, value in weights.items()}
    with np.errstate(all="ignore"):
        values = forward(formula.nodes, point)
        gradients = backward(formula.nodes, values)
    # Where the formula has no value it has no slope: the rules alone may say one, as log's 1/w.
    undefined = np.isnan(values[-1])
    gradient = {
        name: float("nan") if undefined else float(gradients[formula.place(name)])
        for name in weights
    }
    move = {name: lr * slope for name, slope in gradient.items()}
    updated = {name: value - move[name] for name, value in weights.items()}
    return Step(number, weights, float(values[-1]), gradient, move, updated)
