"""NovoGrad: momentum, with each layer's gradient divided by its recent norm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge, Gt, Lt

from gdcli import trees
from gdcli.method import About, Ask, Method, State

if TYPE_CHECKING:
    from gdcli.problem import Array, Params


@dataclass(frozen=True)
class NovoGrad(Method):
    """mean = beta1 * mean + grad / (sqrt(square) + eps) + weight_decay * param; param -= lr * mean.

    The square is a running mean of |grad|^2, one number for each parameter, which starts at the
    first gradient's (Ginsburg et al. 2019, algorithm 1). Weight decay is within the mean, as in the
    paper, and the first mean has the factor 1 in any case.

    The learning rate, 0.001, and the betas are those of pytorch_optimizer.
    """

    beta1: Annotated[
        float, "share of the sum of directions that is kept in each step", Ge(0), Lt(1)
    ] = 0.95
    beta2: Annotated[
        float,
        "share of the running mean of the squared norm that is kept in each step",
        Ge(0),
        Lt(1),
    ] = 0.98
    averaged: Annotated[bool, "multiply each later gradient by 1 - beta1"] = False
    eps: Annotated[float, "added to the divisor, so that it is never 0", Gt(0)] = 1e-8

    default_lr: ClassVar[float] = 1e-3
    decays_itself: ClassVar[bool] = True

    def init(self, params: Params, about: About) -> State:
        """Start with both averages at 0."""
        square = {name: param.new_zeros(()) for name, param in params.items()}
        return {"mean": trees.zeros(params), "square": square}

    def direction(
        self, params: Params, state: State, ask: Ask, lr: Array, step: int
    ) -> tuple[Params, State]:
        """Return the mean of the gradients, each divided by its layer's recent norm."""
        _, grad = ask(params)
        square = {name: (g * g).sum() for name, g in grad.items()}
        if step > 1:
            square = trees.mixed(state["square"], square, self.beta2)
        way = {
            name: g / (square[name].sqrt() + self.eps) + self.decay_of(name) * params[name]
            for name, g in grad.items()
        }
        if self.averaged and step > 1:
            way = trees.scaled(1 - self.beta1, way)
        mean = trees.add(way, state["mean"], self.beta1)
        return mean, {"mean": mean, "square": square}
