"""Prodigy: Adam whose step size grows with an estimate of the distance to the minimum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import torch
from annotated_types import Ge, Gt, Lt

from gdcli import trees
from gdcli.method import Method
from gdcli.optimizers.adam import Beta1, Beta2
from gdcli.optimizers.dadapt_adam import FirstGuess, Growth

if TYPE_CHECKING:
    from gdcli.method import About, Ask, State
    from gdcli.problem import Array, Params


@dataclass(frozen=True)
class Prodigy(Method):
    """param -= lr * d * mean / (sqrt(square) + d * eps) (Mishchenko and Defazio 2024, algorithm 4).

    d is the largest quotient so far of a running mean of <grad, start - param> and the l1 norm of a
    running mean of the gradients. The formulas are those of the package prodigyopt, whose weight
    decay is decoupled: each step subtracts lr * d * weight_decay * param. Its two classes differ
    where beta1 is 0: as in the paper and in its class ProdigyReference, the gradient is multiplied
    by the distance before the step, not after it. The learning rate is a factor of the estimated
    step size: 1, unless training is unstable.
    """

    beta1: Beta1 = 0.9
    beta2: Beta2 = 0.999
    beta3: Annotated[
        float | None,
        "share of the estimate of the distance that is kept in each step; default: the root of "
        "beta2",
        Ge(0),
        Lt(1),
    ] = None
    eps: Annotated[float, "added to the divisor, times the distance", Gt(0)] = 1e-8
    d0: FirstGuess = 1e-6
    d_coef: Annotated[float, "factor of the estimated distance", Gt(0)] = 1.0
    growth_rate: Growth = None
    bias_correction: Annotated[bool, "correct the bias of both means, as Adam does"] = False
    safeguard_warmup: Annotated[
        bool, "leave the learning rate out of the divisor of the estimate, for a warm-up"
    ] = False

    decoupled: ClassVar[bool] = True
    default_lr: ClassVar[float | None] = 1.0
    decays_itself: ClassVar[bool] = True

    def init(self, params: Params, about: About) -> State:
        """Keep the start, and begin with means of 0 and the first guess of the distance."""
        zeros, d = trees.zeros(params), trees.number(params) + self.d0
        return {
            "start": params,
            "mean": zeros,
            "square": zeros,
            "sum": zeros,
            "d": d,
            "largest": d,
            "numerator": trees.number(params),
        }

    def direction(
        self, params: Params, state: State, ask: Ask, lr: Array, step: int
    ) -> tuple[Params, State]:
        """Return Adam's direction and the decay, times the estimated distance."""
        _, grad = self.gradient(params, ask)
        d, rate = state["d"], state["d"] * self.correction(step)
        beta3 = self.beta2**0.5 if self.beta3 is None else self.beta3
        weight = d / self.d0
        along = trees.dot(grad, trees.add(state["start"], params, -1.0))
        numerator = beta3 * state["numerator"] + weight * rate * lr * along
        mean = trees.add(trees.scaled(self.beta1, state["mean"]), grad, d * (1 - self.beta1))
        squares = {name: g * g for name, g in grad.items()}
        square = trees.add(
            trees.scaled(self.beta2, state["square"]), squares, d * d * (1 - self.beta2)
        )
        share = weight * (d if self.safeguard_warmup else rate * lr)
        total = trees.add(trees.scaled(beta3, state["sum"]), grad, share)
        below: Array = sum(array.abs().sum() for array in total.values())
        estimate = torch.where(below > 0, self.d_coef * numerator / below, d)
        largest = torch.maximum(state["largest"], estimate)
        found = largest
        if self.growth_rate is not None:
            first = torch.where(d == self.d0, torch.maximum(d, estimate), d)
            found = torch.minimum(largest, first * self.growth_rate)
        after = {
            "start": state["start"],
            "mean": mean,
            "square": square,
            "sum": total,
            "d": found,
            "largest": largest,
            "numerator": numerator,
        }
        direction = {
            name: rate
            * (mean[name] / (square[name].sqrt() + found * self.eps) + self.decay_of(name) * param)
            for name, param in params.items()
        }
        # Without a gradient so far, or with a learning rate of 0, nothing changes.
        moves = (below > 0) & (lr > 0)
        return trees.chosen(moves, direction, trees.zeros(params)), trees.chosen(
            moves, after, state
        )

    def correction(self, step: int) -> float:
        """Return Adam's bias correction of a step, 1 without it."""
        if not self.bias_correction:
            return 1.0
        correction: float = (1 - self.beta2**step) ** 0.5 / (1 - self.beta1**step)
        return correction

    def move(self, params: Params, direction: Params, lr: Array) -> Params:
        """Return the parameters moved along a direction, which holds the decay."""
        return trees.add(params, direction, -lr)
