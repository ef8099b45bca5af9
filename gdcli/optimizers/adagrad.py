"""AdaGrad: the step of each coordinate shrinks as its squared gradients add up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from gdcli.arrays import namespace
from gdcli.optimizer import Optimizer, State
from gdcli.optimizers.adam import Eps

if TYPE_CHECKING:
    from gdcli.problem import Array


@dataclass(frozen=True)
class AdaGrad(Optimizer):
    """param -= lr * grad / (sqrt(sum of grad**2) + eps) (Duchi, Hazan and Singer 2011).

    The learning rate of 1e-2 is torch.optim's.
    """

    eps: Eps = 1e-10

    default_lr: ClassVar[float | None] = 1e-2

    def init(self, param: Array) -> State:
        """Start with an empty sum."""
        return {"sum": namespace(param).zeros_like(param)}

    def update(self, grad: Array, state: State, param: Array, step: int) -> tuple[Array, State]:
        """Return the gradient divided by the root of the sum of its squares."""
        total = state["sum"] + grad * grad
        return grad / (namespace(grad).sqrt(total) + self.eps), {"sum": total}
