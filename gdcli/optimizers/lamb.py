"""LAMB: Adam whose step in each layer is in proportion to the norm of its weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch

from gdcli import trees
from gdcli.method import About, Ask, Method, State
from gdcli.optimizers.adam import Beta1, Beta2, Eps, power
from gdcli.optimizers.lars import ratio

if TYPE_CHECKING:
    from gdcli.problem import Array, Params


@dataclass(frozen=True)
class Lamb(Method):
    """param -= lr * |param| / |r| * r (You et al. 2020, algorithm 2).

    r = mean_hat / (sqrt(square_hat) + eps) + weight_decay * param, with Adam's averages and their
    bias corrected. The norms are Euclidean, of one parameter; their ratio is 1 where one of them is
    0. This is optax's rule. pytorch_optimizer corrects no bias and cuts |param| at 10, which the
    paper leaves open.

    The learning rate, 0.001, is that of pytorch_optimizer.
    """

    beta1: Beta1 = 0.9
    beta2: Beta2 = 0.999
    eps: Eps = 1e-6

    default_lr: ClassVar[float] = 1e-3
    decays_itself: ClassVar[bool] = True

    def init(self, params: Params, about: About) -> State:
        """Start with both averages at 0."""
        return {"mean": trees.zeros(params), "square": trees.zeros(params)}

    def direction(
        self, params: Params, state: State, ask: Ask, lr: Array, step: int
    ) -> tuple[Params, State]:
        """Return Adam's direction, made as long as its parameter."""
        _, grad = ask(params)
        mean = trees.mixed(state["mean"], grad, self.beta1)
        square = trees.mixed(state["square"], {n: g * g for n, g in grad.items()}, self.beta2)
        unbias1, unbias2 = 1 - power(self.beta1, step), 1 - power(self.beta2, step)
        found = {}
        for name, param in params.items():
            scale = (square[name] / unbias2).sqrt() + self.eps
            way = mean[name] / unbias1 / scale + self.decay_of(name) * param
            size, length = torch.linalg.vector_norm(param), torch.linalg.vector_norm(way)
            found[name] = ratio(size, length) * way
        return found, {"mean": mean, "square": square}
