"""ADOPT: momentum on gradients, each divided by the size of those before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge, Gt, Lt

from gdcli.arrays import either, namespace
from gdcli.optimizer import Optimizer, State
from gdcli.optimizers.adam import Beta2

if TYPE_CHECKING:
    from gdcli.problem import Array


@dataclass(frozen=True)
class ADOPT(Optimizer):
    """mean = beta1 * mean + (1 - beta1) * clip(grad / max(sqrt(square), eps)); param -= lr * mean.

    (Taniguchi et al. 2024, algorithm 2.) The first gradient sets the mean square, and moves
    nothing; `square` never holds the gradient that it divides. Each quotient is clipped to the
    fourth root of the number of steps before, as in the paper, its authors' code and optax.
    pytorch_optimizer counts this step in, so that it clips less. The learning rate of 1e-3 is the
    authors', and so is coupled weight decay, which their code can decouple instead.
    """

    beta1: Annotated[float, "share of the running mean that is kept in each step", Ge(0), Lt(1)] = (
        0.9
    )
    beta2: Beta2 = 0.9999
    eps: Annotated[float, "least divisor of the gradient", Gt(0)] = 1e-6
    clip: Annotated[bool, "clip each quotient to the fourth root of the number of steps before"] = (
        True
    )

    default_lr: ClassVar[float | None] = 1e-3

    def init(self, param: Array) -> State:
        """Start with both averages at 0."""
        zeros = namespace(param).zeros_like(param)
        return {"mean": zeros, "square": zeros}

    def update(self, grad: Array, state: State, param: Array, step: int) -> tuple[Array, State]:
        """Return the mean of the quotients, 0 in the first step."""
        xp, first = namespace(grad), step == 1
        root = xp.sqrt(state["square"])
        quotient = grad / xp.where(root < self.eps, self.eps + 0 * root, root)
        if self.clip:
            limit = (step - 1) ** 0.25 * xp.ones_like(quotient)
            quotient = xp.where(quotient > limit, limit, quotient)
            quotient = xp.where(quotient < -limit, -limit, quotient)
        mean = self.beta1 * state["mean"] + (1 - self.beta1) * quotient
        mean = either(first, xp.zeros_like(mean), mean)
        square = self.beta2 * state["square"] + (1 - self.beta2) * (grad * grad)
        return mean, {"mean": mean, "square": either(first, grad * grad, square)}
