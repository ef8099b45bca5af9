"""Cautious steps: only coordinates that go downhill on the batch at hand are moved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gdcli.method import Wrapper

if TYPE_CHECKING:
    from gdcli.method import Ask, Method, State
    from gdcli.problem import Array, Params


@dataclass(frozen=True)
class Cautious(Wrapper):
    """direction * agrees * count / (agreeing + 1), agrees = (direction * gradient > 0).

    (Liang, Chen, Liu and Liu 2024, algorithm 1.) count is the number of coordinates of the
    parameter, agreeing how many of them agree: what is left out is made up for. The gradient has
    the weight decay that the rule adds to it; decoupled weight decay is applied to all coordinates.
    """

    def direction(  # noqa: PLR0913, PLR0917 -- those of the contract
        self, inner: Method, params: Params, state: State, ask: Ask, lr: Array, step: int
    ) -> tuple[Params, State]:
        """Return the rule's direction where it agrees with the gradient."""
        direction, after = inner.direction(params, state["inner"], ask, lr, step)
        _, gradient = inner.gradient(params, ask)
        return {n: agreeing(d, gradient[n]) for n, d in direction.items()}, {"inner": after}


def agreeing(direction: Array, gradient: Array) -> Array:
    """Return a direction, 0 where its sign is not the gradient's, longer elsewhere."""
    agrees = (direction * gradient > 0).to(direction.dtype)
    return direction * (agrees * (agrees.numel() / (agrees.sum() + 1)))
