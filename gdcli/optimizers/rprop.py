"""Rprop: steps grow while a coordinate keeps its sign, and shrink when it turns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Gt, Lt

from gdcli.arrays import namespace
from gdcli.optimizer import Optimizer, State

if TYPE_CHECKING:
    from gdcli.problem import Array


@dataclass(frozen=True)
class Rprop(Optimizer):
    """param -= size * sign(grad); size grows or shrinks by the signs of successive gradients.

    (Riedmiller and Braun 1993; without going back after a turn, as in torch.optim.) It is made for
    gradients of all examples. The size is in learning rates here, so that a schedule scales
    it: it starts at 1, and its limits are torch.optim's 1e-6 and 50 at its rate of 1e-2.
    """

    shrink: Annotated[float, "factor of the size where the gradient turns", Gt(0), Lt(1)] = 0.5
    grow: Annotated[float, "factor of the size where it keeps its sign", Gt(0)] = 1.2
    smallest: Annotated[float, "least size of a step, in learning rates", Gt(0)] = 1e-4
    largest: Annotated[float, "largest size of a step, in learning rates", Gt(0)] = 5000.0

    default_lr: ClassVar[float | None] = 1e-2

    def init(self, param: Array) -> State:
        """Start with steps of the learning rate, and without a previous gradient."""
        xp = namespace(param)
        return {"size": xp.ones_like(param), "previous": xp.zeros_like(param)}

    def update(self, grad: Array, state: State, param: Array, step: int) -> tuple[Array, State]:
        """Return the sign of the gradient times the size, 0 where it has turned."""
        xp, size = namespace(grad), state["size"]
        product = grad * state["previous"]
        size = xp.where(product > 0, self.grow * size, size)
        size = xp.where(product < 0, self.shrink * size, size)
        size = xp.where(size < self.smallest, self.smallest + 0 * size, size)
        size = xp.where(size > self.largest, self.largest + 0 * size, size)
        kept = xp.where(product < 0, 0 * size, grad)
        return size * xp.sign(kept), {"size": size, "previous": kept}
