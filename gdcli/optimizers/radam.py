"""RAdam: starts as momentum, and becomes Adam when the mean square is reliable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gdcli.arrays import namespace
from gdcli.optimizers.adam import Adam, power, unbiased

if TYPE_CHECKING:
    from gdcli.optimizer import State
    from gdcli.problem import Array


@dataclass(frozen=True)
class RAdam(Adam):
    """Adam times a rectifier, from the sixth step or so (Liu et al. 2020, algorithm 2).

    The learning rate of 1e-3 is torch.optim's.
    """

    def update(self, grad: Array, state: State, param: Array, step: int) -> tuple[Array, State]:
        """Return the mean gradient, divided by the root of the mean square once it is reliable."""
        xp = namespace(grad)
        state = self.moments(grad, state)
        # Always float64: whether rho exceeds 5 must not depend on rounding.
        beta2 = xp.asarray(self.beta2, dtype=xp.float64)
        decay = power(beta2, step)
        # At least 5, also where the mean square is not used, so that no root is negative.
        rho_inf = xp.clip(2 / (1 - beta2) - 1, 5.0, None)
        rho = xp.clip(2 / (1 - beta2) - 1 - 2 * step * decay / (1 - decay), 5.0, None)
        rectifier = (rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho)
        scale = xp.asarray(xp.sqrt(rectifier * (1 - decay)), dtype=grad.dtype)
        adaptive = xp.where(rho > 5, scale / (xp.sqrt(state["square"]) + self.eps), 1.0)
        return unbiased(state["mean"], self.beta1, step) * adaptive, state
