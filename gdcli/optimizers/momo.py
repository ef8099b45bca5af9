"""MoMo: momentum whose step size is bounded by a model of the loss, like a Polyak step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeAlias

import torch
from annotated_types import Ge, Lt

from gdcli import trees
from gdcli.method import Method
from gdcli.optimizers.polyak import LowerBound, quotient

if TYPE_CHECKING:
    from gdcli.method import About, Ask, State
    from gdcli.optimizers.momo_adam import MoMoAdam
    from gdcli.problem import Array, Params


MeanShare: TypeAlias = Annotated[
    float,
    "share of the running means of loss and gradient that is kept in each step",
    Ge(0),
    Lt(1),
]
AdaptLowerBound: TypeAlias = Annotated[
    bool, "estimate the smallest loss during training; it is at least --lower-bound"
]


@dataclass(frozen=True)
class MoMo(Method):
    """param -= min(lr, (model - lower_bound) / |mean|**2) * mean.

    Schaipp et al. 2024, algorithm 1: mean is the running mean of the gradient, and model that of
    the tangents of the loss, at the present point. The formulas are those of optax: the learning
    rate is the largest step size, 1 by default, and a negative step size is 0. With weight decay,
    the parameters are divided by 1 + lr * weight_decay in each step, and the step size takes it
    into account. optax makes no step where |mean|**2 is below the precision of its numbers; here
    that holds for 0 alone.
    """

    beta: MeanShare = 0.9
    lower_bound: LowerBound = 0.0
    adapt_lower_bound: AdaptLowerBound = False

    decoupled: ClassVar[bool] = True
    decay_alike: ClassVar[bool] = True  # the model of the loss holds it
    default_lr: ClassVar[float | None] = 1.0
    decays_itself: ClassVar[bool] = True

    def init(self, params: Params, about: About) -> State:
        """Start with means of 0."""
        number = trees.number(params)
        return {
            "mean": trees.zeros(params),
            "loss": number,
            "along": number,
            "bound": number + self.lower_bound,
        }

    def direction(
        self, params: Params, state: State, ask: Ask, lr: Array, step: int
    ) -> tuple[Params, State]:
        """Return the mean gradient times the share of the learning rate that is used, and decay."""
        loss, grad = self.gradient(params, ask)
        after = averages(params, loss, grad, state, self.beta if step > 1 else 0.0)
        mean = after["mean"]
        size, after["bound"] = model_step(self, params, after, trees.dot(mean, mean), lr)
        shrink = self.weight_decay / (1 + lr * self.weight_decay)
        used = quotient(size, lr)
        return {name: used * mean[name] + shrink * p for name, p in params.items()}, after

    def move(self, params: Params, direction: Params, lr: Array) -> Params:
        """Return the parameters moved along a direction, which holds the decay."""
        return trees.add(params, direction, -lr)


def averages(params: Params, loss: Array, grad: Params, state: State, beta: Any) -> State:
    """Return the state with the running means of gradient, loss, and <grad, param>."""
    return {
        **state,
        "mean": trees.mixed(state["mean"], grad, beta),
        "loss": beta * state["loss"] + (1 - beta) * loss,
        "along": beta * state["along"] + (1 - beta) * trees.dot(grad, params),
    }


def model_step(  # noqa: PLR0913, PLR0917 -- all that the model depends on
    rule: MoMo | MoMoAdam, params: Params, state: State, square: Array, lr: Array, scale: Any = 1.0
) -> tuple[Array, Array]:
    """Return the size of a step, and the next lower bound of the loss.

    The model of the loss is the mean of its tangents so far. square: the squared norm of the mean
    gradient. scale: 1 where the means are of full weight, less where they are biased towards 0.
    """
    along, bound = trees.dot(state["mean"], params), state["bound"]
    shrink = 1 + lr * rule.weight_decay
    if rule.adapt_lower_bound:
        cap = shrink * (state["loss"] - state["along"]) + along
        lowered = (cap / (2 * scale * shrink)).clamp(min=rule.lower_bound)
        bound = torch.where(cap < shrink * scale * bound, lowered, bound)
    gap = shrink * (state["loss"] - scale * bound - state["along"]) + along
    size = quotient(gap.clamp(min=0.0), square).clamp(max=lr / scale)
    if not rule.adapt_lower_bound:
        return size, bound
    model = state["loss"] + along - state["along"]
    return size, ((model - size * square / 2) / scale).clamp(min=rule.lower_bound)
