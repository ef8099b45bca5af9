"""LARS: momentum whose step in each layer is in proportion to the norm of its weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import torch
from annotated_types import Gt

from gdcli import trees
from gdcli.method import About, Ask, Kind, Method, State
from gdcli.optimizers.momentum import Velocity

if TYPE_CHECKING:
    from gdcli.problem import Array, Params

PLAIN: frozenset[Kind] = frozenset({"bias", "norm"})


@dataclass(frozen=True)
class Lars(Method):
    """velocity = beta * velocity + ratio * (grad + weight_decay * param); param -= lr * velocity.

    ratio = trust * |param| / (|grad| + weight_decay * |param|) (You, Gitman and Ginsburg 2017,
    algorithm 1), with the Euclidean norms of one parameter. The ratio is 1 where one of the two is
    0, and for biases and the parameters of normalization layers, as in pytorch_optimizer. The paper
    has the learning rate within the velocity; here it is outside, as in pytorch_optimizer, which is
    the same while the rate is constant.

    The learning rate, 1, is that of timm's Lars: with `trust` at 0.001, as there and in the paper,
    each gradient is scaled to a thousandth of the parameter's norm. pytorch_optimizer has 0.001,
    and applies no weight decay to vectors; here it is applied to all parameters.
    """

    beta: Velocity = 0.9
    trust: Annotated[float, "factor of the ratio of the two norms", Gt(0)] = 1e-3
    nesterov: Annotated[bool, "take the gradient plus beta times the velocity"] = False

    default_lr: ClassVar[float] = 1.0

    def init(self, params: Params, about: About) -> State:
        """Start at rest."""
        return {"velocity": trees.zeros(params)}

    def direction(
        self, params: Params, state: State, ask: Ask, lr: Array, step: int
    ) -> tuple[Params, State]:
        """Return the velocity of the scaled gradients."""
        _, grad = ask(params)
        slope = {
            n: self.scaled(grad[n], p, self.decay_of(n), plain=ask.kind[n] in PLAIN)
            for n, p in params.items()
        }
        velocity = trees.add(slope, state["velocity"], self.beta)
        found = trees.add(slope, velocity, self.beta) if self.nesterov else velocity
        return found, {"velocity": velocity}

    def scaled(self, grad: Array, param: Array, decay: Array, *, plain: bool) -> Array:
        """Return the gradient with its weight decay, times the ratio of the norms."""
        slope = grad + decay * param
        if plain:
            return slope
        size = torch.linalg.vector_norm(param)
        below = torch.linalg.vector_norm(grad) + decay * size
        return ratio(self.trust * size, below) * slope


def ratio(above: Array, below: Array) -> Array:
    """Return the ratio of two norms; 1 where one of them is 0."""
    some = (above != 0) & (below != 0)
    return torch.where(some, above / torch.where(some, below, 1.0), 1.0)
