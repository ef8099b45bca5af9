"""RMSprop: each coordinate is divided by the recent size of its gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from gdcli.arrays import namespace
from gdcli.optimizer import Optimizer, State
from gdcli.optimizers.adam import Beta2, Eps

if TYPE_CHECKING:
    from gdcli.problem import Array


@dataclass(frozen=True)
class RMSprop(Optimizer):
    """param -= lr * grad / (sqrt(mean of grad**2) + eps) (Tieleman and Hinton 2012, lecture 6.5).

    Not centred and without momentum, like torch.optim's defaults, and its learning rate of 1e-2.
    """

    alpha: Beta2 = 0.99
    eps: Eps = 1e-8

    default_lr: ClassVar[float | None] = 1e-2

    def init(self, param: Array) -> State:
        """Start with a mean square of 0."""
        return {"square": namespace(param).zeros_like(param)}

    def update(self, grad: Array, state: State, param: Array, step: int) -> tuple[Array, State]:
        """Return the gradient divided by the root of its mean square."""
        square = self.alpha * state["square"] + (1 - self.alpha) * (grad * grad)
        return grad / (namespace(grad).sqrt(square) + self.eps), {"square": square}
