"""Finito: from the mean of the points where each example was last seen, along their gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch

from gdcli.method import Method
from gdcli.optimizers.sag import put, renewed, table_of
from gdcli.optimizers.svrg import penalised, with_decay
from gdcli.trees import add, scaled

if TYPE_CHECKING:
    from gdcli.method import About, Ask, State
    from gdcli.problem import Array, Params


@dataclass(frozen=True)
class Finito(Method):
    """param = mean of the last points - lr * mean of the gradients there, for linear models.

    (Defazio, Caetano and Domke 2014, algorithm 1, with lr for 1 / (alpha s).) Both means are over
    the examples seen so far; an example's last point is where the step was that saw it last. A
    gradient is kept as its slope in the prediction, a point as all its numbers. --clip-norm clips
    the mean gradient. Each problem has its own rate: 1 / (2 s) with strong convexity s, where there
    are at least 2 L / s examples, L the largest curvature of an example's loss.
    """

    linear_models: ClassVar[bool] = True

    def init(self, params: Params, about: About) -> State:
        """Start with tables of zeros, in which no example is seen."""
        points = {n: p.new_zeros(about.examples, *p.shape) for n, p in params.items()}
        return {**table_of(params, about), "points": points}

    def step(
        self, params: Params, state: State, ask: Ask, lr: Array, step: int
    ) -> tuple[Params, State]:
        """Return the next param, and the tables with the batch's point and slopes."""
        chosen = ask.chosen
        _, after = renewed(params, state, ask)
        points = {
            name: put(state["points"][name], chosen, torch.stack([param] * len(chosen)))
            for name, param in params.items()
        }
        seen = after["seen"].sum()
        # The penalty's gradient is linear: its mean over points is that of the mean point.
        mean = {name: table.sum(0) / seen for name, table in points.items()}
        gradient = penalised(scaled(ask.examples / seen, after["mean"]), mean, ask)
        moved = add(mean, with_decay(self, gradient, mean, ask), -lr)
        return moved, {**after, "points": points}
