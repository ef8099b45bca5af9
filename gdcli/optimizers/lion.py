"""Lion: every coordinate moves by the learning rate, along the sign of a running mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge, Lt

from gdcli.arrays import namespace
from gdcli.optimizer import Optimizer, State
from gdcli.optimizers.adam import Beta1

if TYPE_CHECKING:
    from gdcli.problem import Array


@dataclass(frozen=True)
class Lion(Optimizer):
    """param -= lr * sign(beta1 * mean + (1 - beta1) * grad) (Chen et al. 2023, algorithm 2).

    The learning rate of 1e-4 is that of the authors' code.
    """

    beta1: Annotated[
        float,
        "share of the running mean in the direction of a step; the rest is the gradient",
        Ge(0),
        Lt(1),
    ] = 0.9
    beta2: Beta1 = 0.99

    default_lr: ClassVar[float | None] = 1e-4
    decoupled: ClassVar[bool] = True

    def init(self, param: Array) -> State:
        """Start with a mean gradient of 0."""
        return {"mean": namespace(param).zeros_like(param)}

    def update(self, grad: Array, state: State, param: Array, step: int) -> tuple[Array, State]:
        """Return the sign of the mean gradient mixed with the newest gradient."""
        leaning = self.beta1 * state["mean"] + (1 - self.beta1) * grad
        mean = self.beta2 * state["mean"] + (1 - self.beta2) * grad
        return namespace(grad).sign(leaning), {"mean": mean}
