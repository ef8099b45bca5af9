"""LaProp: momentum on gradients that are each divided by their recent size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge, Lt

from gdcli.optimizers.adam import Adam, Eps, unbiased

if TYPE_CHECKING:
    from gdcli.optimizer import State
    from gdcli.problem import Array


@dataclass(frozen=True)
class LaProp(Adam):
    """mean = beta1 * mean + (1 - beta1) * grad / (sqrt(square_hat) + eps); param -= lr * mean_hat.

    (Ziyin, Wang and Ueda 2020, algorithm 1.) Adam divides the mean of the gradients; LaProp
    divides each gradient, so that no choice of the two betas diverges. Weight decay is decoupled,
    and the learning rate is 4e-4, as in the authors' code.
    """

    beta1: Annotated[
        float,
        "share of the running mean of the divided gradients that is kept in each step",
        Ge(0),
        Lt(1),
    ] = 0.9
    eps: Eps = 1e-15

    default_lr: ClassVar[float | None] = 4e-4
    decoupled: ClassVar[bool] = True

    def update(self, grad: Array, state: State, param: Array, step: int) -> tuple[Array, State]:
        """Return the mean of the divided gradients, bias-corrected."""
        square = self.beta2 * state["square"] + (1 - self.beta2) * (grad * grad)
        quotient = grad / self.scale(square, step)
        mean = self.beta1 * state["mean"] + (1 - self.beta1) * quotient
        return unbiased(mean, self.beta1, step), {"mean": mean, "square": square}
