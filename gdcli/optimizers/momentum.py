"""Momentum (heavy ball): each step keeps a share of the velocity of the last one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, TypeAlias

from annotated_types import Ge, Lt

from gdcli.arrays import namespace
from gdcli.optimizer import Optimizer, State

if TYPE_CHECKING:
    from gdcli.problem import Array

Velocity: TypeAlias = Annotated[
    float, "share of the velocity that is kept in each step", Ge(0), Lt(1)
]


@dataclass(frozen=True)
class Momentum(Optimizer):
    """velocity = beta * velocity + grad; param -= lr * velocity (Polyak 1964)."""

    beta: Velocity = 0.9

    linear: ClassVar[bool] = True

    def init(self, param: Array) -> State:
        """Start with a velocity of 0."""
        return {"velocity": namespace(param).zeros_like(param)}

    def update(self, grad: Array, state: State, param: Array, step: int) -> tuple[Array, State]:
        """Return the new velocity."""
        velocity = self.beta * state["velocity"] + grad
        return velocity, {"velocity": velocity}
