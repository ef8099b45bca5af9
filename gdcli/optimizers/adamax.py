"""Adamax: Adam, divided by the largest recent gradient instead of a mean of squares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge, Gt, Lt

from gdcli.arrays import namespace
from gdcli.optimizers.adam import Adam, unbiased

if TYPE_CHECKING:
    from gdcli.optimizer import State
    from gdcli.problem import Array


@dataclass(frozen=True)
class Adamax(Adam):
    """param -= lr * mean_hat / largest, largest = max(beta2 * largest, |grad| + eps).

    (Kingma and Ba 2015, algorithm 2.) eps, which the paper has not, keeps the divisor from 0, as
    in torch.optim. The learning rate of 2e-3 is the paper's.
    """

    beta2: Annotated[
        float, "share of the largest gradient that is kept in each step", Ge(0), Lt(1)
    ] = 0.999
    eps: Annotated[float, "added to the size of every gradient", Gt(0)] = 1e-8

    default_lr: ClassVar[float | None] = 2e-3

    def init(self, param: Array) -> State:
        """Start with a mean gradient and a largest gradient of 0."""
        zeros = namespace(param).zeros_like(param)
        return {"mean": zeros, "largest": zeros}

    def update(self, grad: Array, state: State, param: Array, step: int) -> tuple[Array, State]:
        """Return the mean gradient, bias-corrected, divided by the largest."""
        xp = namespace(grad)
        mean = self.beta1 * state["mean"] + (1 - self.beta1) * grad
        largest = xp.maximum(self.beta2 * state["largest"], xp.abs(grad) + self.eps)
        return unbiased(mean, self.beta1, step) / largest, {"mean": mean, "largest": largest}
