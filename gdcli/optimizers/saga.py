"""SAGA: each gradient is corrected by the last gradients of all examples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from gdcli.method import Method
from gdcli.optimizers.sag import renewed, table_of
from gdcli.optimizers.svrg import penalised, with_decay
from gdcli.trees import add, scaled

if TYPE_CHECKING:
    from gdcli.method import About, Ask, State
    from gdcli.problem import Array, Params


@dataclass(frozen=True)
class Saga(Method):
    """param -= lr * (grad - last grad of the batch + mean of all last grads), for linear models.

    (Defazio, Bach and Lacoste-Julien 2014, equation 1. The table is empty at the start, and the
    mean is over the examples seen so far, as in scikit-learn.) A gradient is kept as its slope in
    the prediction; that of the penalty is exact at every step. --clip-norm clips the corrected
    gradient. Each problem has its own rate: 1 / (3 L), L the largest curvature of an example's
    loss.
    """

    linear_models: ClassVar[bool] = True

    def init(self, params: Params, about: About) -> State:
        """Start with a table of slopes of 0."""
        return table_of(params, about)

    def direction(
        self, params: Params, state: State, ask: Ask, lr: Array, step: int
    ) -> tuple[Params, State]:
        """Return the corrected gradient, and the table with the batch's new slopes."""
        change, after = renewed(params, state, ask)
        mean = scaled(ask.examples / after["seen"].sum(), state["mean"])
        found = add(mean, ask.mean_gradient(params, change))
        return with_decay(self, penalised(found, params, ask), params, ask), after
