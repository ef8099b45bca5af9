"""Adan: Adam with Nesterov's momentum by the difference of successive gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge, Lt

from gdcli.arrays import either, namespace
from gdcli.optimizer import Optimizer, State
from gdcli.optimizers.adam import Beta1, Eps, unbiased

if TYPE_CHECKING:
    from gdcli.problem import Array


@dataclass(frozen=True)
class Adan(Optimizer):
    """param -= lr * (mean_hat + beta2 * change_hat) / (sqrt(square_hat) + eps).

    (Xie et al. 2022, algorithm 1.) `change` is a running mean of grad - previous, and `square` of
    (grad + beta2 * (grad - previous))**2; each beta is 1 minus the paper's, as in the authors'
    code. Weight decay is decoupled, as in AdamW; that code and the paper divide by
    1 + lr * weight_decay at the end unless told otherwise. The learning rate of 1e-3 is theirs.
    """

    beta1: Beta1 = 0.98
    beta2: Annotated[
        float,
        "share of the running mean of the gradient's change that is kept in each step",
        Ge(0),
        Lt(1),
    ] = 0.92
    beta3: Annotated[
        float, "share of the running mean of the square that is kept in each step", Ge(0), Lt(1)
    ] = 0.99
    eps: Eps = 1e-8

    default_lr: ClassVar[float | None] = 1e-3
    decoupled: ClassVar[bool] = True

    def init(self, param: Array) -> State:
        """Start with all averages at 0."""
        zeros = namespace(param).zeros_like(param)
        return dict.fromkeys(("mean", "change", "square", "previous"), zeros)

    def update(self, grad: Array, state: State, param: Array, step: int) -> tuple[Array, State]:
        """Return mean and change, divided by the root of the mean square, all bias-corrected."""
        xp = namespace(grad)
        moved = either(step == 1, xp.zeros_like(grad), grad - state["previous"])
        ahead = grad + self.beta2 * moved
        mean = self.beta1 * state["mean"] + (1 - self.beta1) * grad
        change = self.beta2 * state["change"] + (1 - self.beta2) * moved
        square = self.beta3 * state["square"] + (1 - self.beta3) * (ahead * ahead)
        top = unbiased(mean, self.beta1, step) + self.beta2 * unbiased(change, self.beta2, step)
        direction = top / (xp.sqrt(unbiased(square, self.beta3, step)) + self.eps)
        return direction, {"mean": mean, "change": change, "square": square, "previous": grad}
