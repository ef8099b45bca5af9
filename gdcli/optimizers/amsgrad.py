"""AMSGrad: Adam divided by the largest gradient size so far, so that steps do not grow again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gdcli.arrays import namespace
from gdcli.optimizers.adam import Adam, unbiased

if TYPE_CHECKING:
    from gdcli.optimizer import State
    from gdcli.problem import Array


@dataclass(frozen=True)
class AMSGrad(Adam):
    """Adam, divided by the largest mean square so far (Reddi, Kale and Kumar 2018, algorithm 2).

    The bias of the largest average is corrected after it is chosen, as in torch.optim, whose
    learning rate of 1e-3 is taken.
    """

    def init(self, param: Array) -> State:
        """Start with all averages at 0."""
        return super().init(param) | {"largest": namespace(param).zeros_like(param)}

    def update(self, grad: Array, state: State, param: Array, step: int) -> tuple[Array, State]:
        """Return the mean gradient divided by the root of the largest mean square."""
        moments = self.moments(grad, state)
        largest = namespace(grad).maximum(state["largest"], moments["square"])
        mean_hat = unbiased(moments["mean"], self.beta1, step)
        return mean_hat / self.scale(largest, step), moments | {"largest": largest}
