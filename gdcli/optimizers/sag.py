"""SAG: the mean of the last gradient of every example, of which a step renews its batch's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from gdcli.method import Method
from gdcli.optimizers.svrg import penalised, with_decay
from gdcli.trees import add, scaled, zeros

if TYPE_CHECKING:
    from gdcli.method import About, Ask, State
    from gdcli.problem import Array, Params


@dataclass(frozen=True)
class Sag(Method):
    """param -= lr * sum of the examples' last gradients / examples seen, for linear models.

    (Schmidt, Le Roux and Bach 2017, algorithm 1, with the division by the examples seen so far of
    their section 4.) A gradient is kept as its slope in the prediction, a number for each
    prediction of an example; that of the penalty is exact at every step. --clip-norm clips the
    mean. Each problem has its own rate: 1 / L, L the largest curvature of an example's loss.
    """

    linear_models: ClassVar[bool] = True

    def init(self, params: Params, about: About) -> State:
        """Start with a table of slopes of 0, none of which is seen."""
        return table_of(params, about)

    def direction(
        self, params: Params, state: State, ask: Ask, lr: Array, step: int
    ) -> tuple[Params, State]:
        """Return the mean of the gradients in the table, renewed, and the table."""
        _, state = renewed(params, state, ask)
        found = scaled(ask.examples / state["seen"].sum(), state["mean"])
        return with_decay(self, penalised(found, params, ask), params, ask), state


def table_of(params: Params, about: About) -> State:
    """Return a table of slopes of 0, the mean gradient of its costs, and what is seen: nothing."""
    any_of = next(iter(params.values()))
    return {
        "slopes": any_of.new_zeros(about.examples, about.predictions),
        "mean": zeros(params),
        "seen": any_of.new_zeros(about.examples),
    }


def renewed(params: Params, state: State, ask: Ask) -> tuple[Array, State]:
    """Return by how much the slopes of the batch change, and the table with the new ones.

    An example that is drawn twice changes the mean over all examples once.
    """
    chosen, slopes = ask.chosen, ask.example_slopes(params)
    change = slopes - state["slopes"][chosen]
    size = len(chosen)
    once = change if size == 1 else change / _times(state["seen"], chosen)[:, None]
    part: Any = ask.mean_gradient(params, once)
    return change, {
        "slopes": put(state["slopes"], chosen, slopes),
        "mean": add(state["mean"], part, size / ask.examples),
        "seen": put(state["seen"], chosen, torch.ones_like(slopes[:, 0])),
    }


def put(table: Array, chosen: Array, rows: Array) -> Array:
    """Return a table with other rows at the indices."""
    return torch.index_put(table, (chosen,), rows)


def _times(like: Array, chosen: Array) -> Array:
    """Return how often the example of each place is drawn in the batch."""
    ones = torch.ones_like(like)[: len(chosen)]
    return torch.zeros_like(like).index_add(0, chosen, ones)[chosen]
