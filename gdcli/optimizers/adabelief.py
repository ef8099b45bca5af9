"""AdaBelief: Adam, divided by how far gradients lie from their running mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Gt

from gdcli.optimizers.adam import Adam

if TYPE_CHECKING:
    from gdcli.optimizer import State
    from gdcli.problem import Array


@dataclass(frozen=True)
class AdaBelief(Adam):
    """Adam with a mean of (grad - mean)**2 in place of grad**2 (Zhuang et al. 2020, algorithm 2).

    eps is added to the mean in every step, and to the divisor, as in the authors' code and in
    optax. The learning rate of 1e-3 is theirs, and so is decoupled weight decay.
    """

    eps: Annotated[float, "added to the mean square in every step and to the divisor", Gt(0)] = (
        1e-16
    )

    decoupled: ClassVar[bool] = True

    def moments(self, grad: Array, state: State) -> State:
        """Return the moving averages of the gradient and of its squared distance from the first."""
        mean = self.beta1 * state["mean"] + (1 - self.beta1) * grad
        surprise = grad - mean
        square = self.beta2 * state["square"] + (1 - self.beta2) * (surprise * surprise) + self.eps
        return {"mean": mean, "square": square}
