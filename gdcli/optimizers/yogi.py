"""Yogi: Adam, whose mean square moves by a share of the squared gradient, not of itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge

from gdcli.arrays import namespace
from gdcli.optimizers.adam import Adam, Eps

if TYPE_CHECKING:
    from gdcli.optimizer import State
    from gdcli.problem import Array


@dataclass(frozen=True)
class Yogi(Adam):
    """Adam with square -= (1 - beta2) * sign(square - grad**2) * grad**2.

    (Zaheer et al. 2018, algorithm 2.) The mean gradient starts at 0, as in the paper. optax and
    pytorch_optimizer start it at `initial`, too, so that a coordinate without gradient moves.
    Both correct the bias; eps and the learning rate of 1e-2 are pytorch_optimizer's.
    """

    eps: Eps = 1e-3
    initial: Annotated[float, "mean square at the start", Ge(0)] = 1e-6

    default_lr: ClassVar[float | None] = 1e-2

    def init(self, param: Array) -> State:
        """Start with a mean gradient of 0."""
        zeros = namespace(param).zeros_like(param)
        return {"mean": zeros, "square": zeros + self.initial}

    def moments(self, grad: Array, state: State) -> State:
        """Return the moving average of the gradient, and the size that follows its square."""
        mean = self.beta1 * state["mean"] + (1 - self.beta1) * grad
        square, new = state["square"], grad * grad
        square = square - (1 - self.beta2) * namespace(grad).sign(square - new) * new
        return {"mean": mean, "square": square}
