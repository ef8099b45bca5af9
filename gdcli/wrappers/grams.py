"""Grams: steps have the rule's sizes and the signs of the gradient of the batch at hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gdcli.method import Wrapper

if TYPE_CHECKING:
    from gdcli.method import Ask, Method, State
    from gdcli.problem import Array, Params


@dataclass(frozen=True)
class Grams(Wrapper):
    """direction = sign(gradient) * abs(direction) (Cao, Li and Song 2024, algorithm 1).

    The gradient has the weight decay that the rule adds to it; decoupled weight decay is added
    afterwards.
    """

    def direction(  # noqa: PLR0913, PLR0917 -- those of the contract
        self, inner: Method, params: Params, state: State, ask: Ask, lr: Array, step: int
    ) -> tuple[Params, State]:
        """Return the rule's direction with the signs of the gradient."""
        direction, after = inner.direction(params, state["inner"], ask, lr, step)
        _, gradient = inner.gradient(params, ask)
        return {n: d.abs() * gradient[n].sign() for n, d in direction.items()}, {"inner": after}
