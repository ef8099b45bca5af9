"""Sign descent: every coordinate moves by the learning rate, against its gradient's sign."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from gdcli.arrays import namespace
from gdcli.optimizer import Optimizer, State

if TYPE_CHECKING:
    from gdcli.problem import Array


@dataclass(frozen=True)
class SignSGD(Optimizer):
    """param -= lr * sign(grad) (Bernstein et al. 2018, algorithm 1).

    The learning rate of 1e-3 is pytorch_optimizer's.
    """

    default_lr: ClassVar[float | None] = 1e-3

    def update(self, grad: Array, state: State, param: Array, step: int) -> tuple[Array, State]:
        """Return the sign of each component; 0 stays 0 and nan stays nan."""
        return namespace(grad).sign(grad), state
