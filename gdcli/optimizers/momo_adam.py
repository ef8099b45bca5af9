"""MoMo-Adam: Adam whose step size is bounded by a model of the loss, like a Polyak step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from gdcli import trees
from gdcli.method import Method
from gdcli.optimizers.adam import Beta2, Eps
from gdcli.optimizers.momo import AdaptLowerBound, MeanShare, averages, model_step
from gdcli.optimizers.polyak import LowerBound, quotient

if TYPE_CHECKING:
    from gdcli.method import About, Ask, State
    from gdcli.problem import Array, Params


@dataclass(frozen=True)
class MoMoAdam(Method):
    """param -= size * mean / (sqrt(square_hat) + eps) (Schaipp et al. 2024, algorithm 2).

    The size is that of MoMo in the norm that Adam's divisor makes, and at most
    lr / (1 - beta1**step). The formulas and the default learning rate are those of optax. With
    weight decay, the parameters are divided by 1 + lr * weight_decay in each step, and the step
    size takes it into account.
    """

    beta1: MeanShare = 0.9
    beta2: Beta2 = 0.999
    eps: Eps = 1e-8
    lower_bound: LowerBound = 0.0
    adapt_lower_bound: AdaptLowerBound = False

    decoupled: ClassVar[bool] = True
    decay_alike: ClassVar[bool] = True  # the model of the loss holds it
    default_lr: ClassVar[float | None] = 1e-2
    decays_itself: ClassVar[bool] = True

    def init(self, params: Params, about: About) -> State:
        """Start with means of 0."""
        number, zeros = trees.number(params), trees.zeros(params)
        return {
            "mean": zeros,
            "square": zeros,
            "loss": number,
            "along": number,
            "bound": number + self.lower_bound,
        }

    def direction(
        self, params: Params, state: State, ask: Ask, lr: Array, step: int
    ) -> tuple[Params, State]:
        """Return Adam's direction times the share of the learning rate that is used, and decay."""
        loss, grad = self.gradient(params, ask)
        after = averages(params, loss, grad, state, self.beta1)
        squares = {name: g * g for name, g in grad.items()}
        after["square"] = trees.mixed(state["square"], squares, self.beta2)
        biased, scale = 1 - self.beta2**step, 1 - self.beta1**step
        mean = after["mean"]
        way = {n: m / (self.eps + (after["square"][n] / biased).sqrt()) for n, m in mean.items()}
        size, after["bound"] = model_step(self, params, after, trees.dot(mean, way), lr, scale)
        shrink = self.weight_decay / (1 + lr * self.weight_decay)
        used = quotient(size, lr)
        return {name: used * way[name] + shrink * p for name, p in params.items()}, after

    def move(self, params: Params, direction: Params, lr: Array) -> Params:
        """Return the parameters moved along a direction, which holds the decay."""
        return trees.add(params, direction, -lr)
