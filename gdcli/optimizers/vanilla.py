"""Plain gradient descent: each step goes against the gradient, times the learning rate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from gdcli.optimizer import Optimizer, State

if TYPE_CHECKING:
    from gdcli.problem import Array


@dataclass(frozen=True)
class Vanilla(Optimizer):
    """param -= lr * grad (Cauchy 1847; stochastic: Robbins and Monro 1951)."""

    linear: ClassVar[bool] = True

    def update(self, grad: Array, state: State, param: Array, step: int) -> tuple[Array, State]:
        """Return the gradient itself."""
        return grad, state
