"""D-Adaptation for Adam: its step size is a growing lower bound of the distance to the minimum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, TypeAlias

import torch
from annotated_types import Ge, Gt, Lt

from gdcli import trees
from gdcli.method import Method
from gdcli.optimizers.adam import Beta1, Eps

if TYPE_CHECKING:
    from gdcli.method import About, Ask, State
    from gdcli.problem import Array, Params


Growth: TypeAlias = Annotated[
    float | None, "the distance grows at most by this factor in each step; default: any", Ge(1)
]
FirstGuess: TypeAlias = Annotated[
    float, "first guess of the distance to the minimum: a small number", Gt(0)
]


@dataclass(frozen=True)
class DAdaptAdam(Method):
    """mean = beta1 * mean + (1 - beta1) * lr * d * grad; param -= mean / (sqrt(square) + eps).

    Defazio and Mishchenko 2023, algorithm 5: d is the largest bound so far of the distance from the
    start to the minimum. The formulas are those of the package dadaptation, in which the means are
    not corrected for their bias and weight decay is part of the gradient. The learning rate is a
    factor of the estimated step size: 1, unless training is unstable.
    """

    beta1: Beta1 = 0.9
    beta2: Annotated[
        float,
        "share of the running mean of the squared gradient that is kept in each step",
        Gt(0),
        Lt(1),
    ] = 0.999
    eps: Eps = 1e-8
    d0: FirstGuess = 1e-6
    growth_rate: Growth = None
    bias_correction: Annotated[bool, "correct the bias of both means, as Adam does"] = False

    default_lr: ClassVar[float | None] = 1.0

    def init(self, params: Params, about: About) -> State:
        """Begin with means of 0 and the first guess of the distance."""
        zeros = trees.zeros(params)
        return {
            "mean": zeros,
            "square": zeros,
            "sum": zeros,
            "d": trees.number(params) + self.d0,
            "numerator": trees.number(params),
        }

    def step(
        self, params: Params, state: State, ask: Ask, lr: Array, step: int
    ) -> tuple[Params, State]:
        """Return the parameters after a step: a mean holds the sizes of earlier steps."""
        _, grad = self.gradient(params, ask)
        d, root = state["d"], self.beta2**0.5
        rate = d * lr
        if self.bias_correction:
            rate = rate * ((1 - self.beta2**step) ** 0.5 / (1 - self.beta1**step))
        scaled = {n: s / (state["square"][n].sqrt() + self.eps) for n, s in state["sum"].items()}
        numerator = root * state["numerator"] + (1 - root) * rate * trees.dot(grad, scaled)
        mean = trees.mixed(state["mean"], trees.scaled(rate, grad), self.beta1)
        squares = {name: g * g for name, g in grad.items()}
        square = trees.mixed(state["square"], squares, self.beta2)
        total = trees.mixed(state["sum"], trees.scaled(rate, grad), root)
        below: Array = sum(array.abs().sum() for array in total.values())
        bound = torch.where(below > 0, numerator / ((1 - root) * below), d)
        after = {
            "mean": mean,
            "square": square,
            "sum": total,
            "d": grown(d, bound, self.growth_rate),
            "numerator": numerator,
        }
        moved = {n: p - mean[n] / (square[n].sqrt() + self.eps) for n, p in params.items()}
        # Without a gradient so far, or with a learning rate of 0, nothing changes.
        moves = (below > 0) & (lr > 0)
        return trees.chosen(moves, moved, params), trees.chosen(moves, after, state)


def grown(d: Array, bound: Array, growth_rate: float | None) -> Array:
    """Return the larger of a distance and its new bound, which grows at most by a factor."""
    if growth_rate is not None:
        bound = torch.minimum(bound, d * growth_rate)
    return torch.maximum(d, bound)
