"""Stochastic weight averaging: the mean of the weights of the last part of training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import torch
from annotated_types import Ge, Lt

from gdcli.method import Wrapper
from gdcli.trees import chosen, number

if TYPE_CHECKING:
    from gdcli.method import About, Ask, Method, State
    from gdcli.problem import Array, Params


@dataclass(frozen=True)
class Swa(Wrapper):
    """average = mean of the weights after every k-th step of the last part of the budget.

    (Izmailov, Podoprikhin, Garipov, Vetrov and Wilson 2018, algorithm 1; the mean is that of
    torch.optim.swa_utils.AveragedModel.) The average is recorded and exported from its first
    member on, before that the weights. Take a schedule that ends at a constant learning rate.
    """

    start: Annotated[float, "share of the budget after which averaging starts", Ge(0), Lt(1)] = 0.75
    every: Annotated[int, "steps from one member of the average to the next", Ge(1)] = 1

    keeps_direction: ClassVar[bool] = False
    uses_horizon: ClassVar[bool] = True

    def init(self, inner: Method, params: Params, about: About) -> State:
        """Start without a member."""
        return {
            "inner": inner.init(params, about),
            "average": dict(params),
            "members": number(params),
        }

    def step(  # noqa: PLR0913, PLR0917 -- those of the contract
        self, inner: Method, params: Params, state: State, ask: Ask, lr: Array, step: int
    ) -> tuple[Params, State]:
        """Return the rule's step, and the average with it."""
        params, after = inner.step(params, state["inner"], ask, lr, step)
        if step % self.every:
            return params, {**state, "inner": after}
        joins = (step > self.start * ask.horizon) * torch.ones_like(state["members"])
        members = state["members"] + joins
        share = joins / members.clamp(min=1.0)
        before, point = state["average"], inner.at(params, after)
        average = {name: torch.lerp(before[name], new, share) for name, new in point.items()}
        return params, {"inner": after, "average": average, "members": members}

    def at(self, inner: Method, params: Params, state: State) -> Params:
        """Return the average, or the rule's point where it has no member."""
        return chosen(state["members"] > 0, state["average"], inner.at(params, state["inner"]))
