"""AdaDelta: adapts the size of its steps by itself; made for a learning rate of 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge, Gt, Lt

from gdcli.arrays import namespace
from gdcli.optimizer import Optimizer, State

if TYPE_CHECKING:
    from gdcli.problem import Array


@dataclass(frozen=True)
class AdaDelta(Optimizer):
    """param -= lr * rms(past directions) / rms(gradients) * grad (Zeiler 2012).

    The paper has no learning rate. lr = 1 gives its rule, and is torch.optim's default.
    """

    rho: Annotated[
        float, "share of both running means of squares that is kept in each step", Ge(0), Lt(1)
    ] = 0.9
    eps: Annotated[
        float, "added to both running means of squares; it sets the size of the first steps", Gt(0)
    ] = 1e-6

    default_lr: ClassVar[float | None] = 1.0

    def init(self, param: Array) -> State:
        """Start with mean squares of 0."""
        zeros = namespace(param).zeros_like(param)
        return {"square": zeros, "square_direction": zeros}

    def update(self, grad: Array, state: State, param: Array, step: int) -> tuple[Array, State]:
        """Return the gradient times the ratio of the two root mean squares."""
        xp = namespace(grad)
        square = self.rho * state["square"] + (1 - self.rho) * (grad * grad)
        past = state["square_direction"]
        direction = xp.sqrt(past + self.eps) / xp.sqrt(square + self.eps) * grad
        past = self.rho * past + (1 - self.rho) * (direction * direction)
        return direction, {"square": square, "square_direction": past}
