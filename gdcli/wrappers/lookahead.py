"""Lookahead: every k steps the weights go back part of the way to where they were."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import torch
from annotated_types import Ge, Gt, Le

from gdcli.method import Wrapper

if TYPE_CHECKING:
    from gdcli.method import About, Ask, Method, State
    from gdcli.problem import Array, Params


@dataclass(frozen=True)
class Lookahead(Wrapper):
    """slow += alpha * (param - slow), param = slow, every k steps.

    (Zhang, Lucas, Hinton and Ba 2019, algorithm 1.) The state of the rule stays as it is there. The
    slow weights are recorded and exported.
    """

    k: Annotated[int, "steps of the rule from one step of the slow weights to the next", Ge(1)] = 5
    alpha: Annotated[float, "share of the way that the slow weights go", Gt(0), Le(1)] = 0.5

    keeps_direction: ClassVar[bool] = False
    own_point: ClassVar[bool] = True  # hands out its own, whatever the rule within would

    def init(self, inner: Method, params: Params, about: About) -> State:
        """Start with the slow weights at the starting point."""
        return {"inner": inner.init(params, about), "slow": dict(params)}

    def step(  # noqa: PLR0913, PLR0917 -- those of the contract
        self, inner: Method, params: Params, state: State, ask: Ask, lr: Array, step: int
    ) -> tuple[Params, State]:
        """Return the rule's step, or every k steps the slow weights after it."""
        params, after = inner.step(params, state["inner"], ask, lr, step)
        if step % self.k:
            return params, {**state, "inner": after}
        slow = {n: torch.lerp(old, params[n], self.alpha) for n, old in state["slow"].items()}
        return slow, {"inner": after, "slow": slow}

    def at(self, inner: Method, params: Params, state: State) -> Params:
        """Return the slow weights."""
        slow: Params = state["slow"]
        return slow
