"""Polyak-Ruppert averaging: the mean of the weights after all steps so far."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch

from gdcli.method import Wrapper

if TYPE_CHECKING:
    from gdcli.method import About, Ask, Method, State
    from gdcli.problem import Array, Params


@dataclass(frozen=True)
class Average(Wrapper):
    """average += (param - average) / step after each step (Polyak and Juditsky 1992, equation 2).

    The starting point is not a member, as in torch.optim.swa_utils.AveragedModel. The average is
    recorded and exported; training goes on from the weights.
    """

    keeps_direction: ClassVar[bool] = False

    def init(self, inner: Method, params: Params, about: About) -> State:
        """Start with the starting point, which the first step replaces."""
        return {"inner": inner.init(params, about), "average": dict(params)}

    def step(  # noqa: PLR0913, PLR0917 -- those of the contract
        self, inner: Method, params: Params, state: State, ask: Ask, lr: Array, step: int
    ) -> tuple[Params, State]:
        """Return the rule's step, and the average with it."""
        params, after = inner.step(params, state["inner"], ask, lr, step)
        before, point = state["average"], inner.at(params, after)
        average = {name: torch.lerp(before[name], new, 1 / step) for name, new in point.items()}
        return params, {"inner": after, "average": average}

    def at(self, inner: Method, params: Params, state: State) -> Params:
        """Return the average."""
        average: Params = state["average"]
        return average
