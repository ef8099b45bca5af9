"""Nesterov's accelerated gradient: momentum with the gradient one step ahead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gdcli.optimizers.momentum import Momentum

if TYPE_CHECKING:
    from gdcli.optimizer import State
    from gdcli.problem import Array


@dataclass(frozen=True)
class Nesterov(Momentum):
    """param -= lr * (grad + beta * velocity) (Nesterov 1983; form: Sutskever et al. 2013).

    The parameters are the point ahead, at which the gradient is computed, as in torch.optim.
    """

    def update(self, grad: Array, state: State, param: Array, step: int) -> tuple[Array, State]:
        """Return the gradient plus the velocity's share of the next step."""
        velocity, state = super().update(grad, state, param, step)
        return grad + self.beta * velocity, state
