"""RMSprop: each coordinate is divided by the recent size of its gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge, Gt, Lt

from gdcli.arrays import namespace
from gdcli.optimizer import Optimizer, State

if TYPE_CHECKING:
    from gdcli.problem import Array


@dataclass(frozen=True)
class RMSprop(Optimizer):
    """param -= lr * grad / (sqrt(mean of grad**2) + eps) (Tieleman and Hinton 2012, lecture 6.5).

    Not centred and without momentum, like torch.optim's defaults, and its learning rate of 1e-2.
    """

    alpha: Annotated[
        float,
        "share of the running mean of the squared gradient that is kept in each step",
        Ge(0),
        Lt(1),
    ] = 0.99
    eps: Annotated[float, "added to the divisor, so that it is never 0", Gt(0)] = 1e-8

    default_lr: ClassVar[float | None] = 1e-2

    def init(self, param: Array) -> State:
        """Start with a mean square of 0."""
        return {"square": namespace(param).zeros_like(param)}

    def update(self, grad: Array, state: State, param: Array, step: int) -> tuple[Array, State]:
        """Return the gradient divided by the root of its mean square."""
        square = self.alpha * state["square"] + (1 - self.alpha) * (grad * grad)
        return grad / (namespace(grad).sqrt(square) + self.eps), {"square": square}
