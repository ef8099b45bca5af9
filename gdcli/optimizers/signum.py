"""Signum: every coordinate moves by the learning rate, along its running mean's sign."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from gdcli.arrays import namespace
from gdcli.optimizer import Optimizer, State
from gdcli.optimizers.adam import Beta1

if TYPE_CHECKING:
    from gdcli.problem import Array


@dataclass(frozen=True)
class Signum(Optimizer):
    """mean = beta * mean + (1 - beta) * grad; param -= lr * sign(mean).

    (Bernstein et al. 2018, algorithm 2.) Weight decay is decoupled, as in their later paper (2019,
    algorithm 1) and in pytorch_optimizer, whose learning rate of 1e-3 is taken.
    """

    beta: Beta1 = 0.9

    default_lr: ClassVar[float | None] = 1e-3
    decoupled: ClassVar[bool] = True

    def init(self, param: Array) -> State:
        """Start with a mean gradient of 0."""
        return {"mean": namespace(param).zeros_like(param)}

    def update(self, grad: Array, state: State, param: Array, step: int) -> tuple[Array, State]:
        """Return the sign of the mean gradient."""
        mean = self.beta * state["mean"] + (1 - self.beta) * grad
        return namespace(grad).sign(mean), {"mean": mean}
