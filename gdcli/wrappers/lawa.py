"""Latest weight averaging: the mean of the last few checkpoints of the weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import torch
from annotated_types import Ge

from gdcli.method import Wrapper
from gdcli.trees import chosen, number

if TYPE_CHECKING:
    from gdcli.method import About, Ask, Method, State
    from gdcli.problem import Array, Params


@dataclass(frozen=True)
class Lawa(Wrapper):
    """average = mean of the last `count` of the weights that are kept every `every` steps.

    (Kaddour 2022, algorithm 1, where a checkpoint is the end of an epoch and count is 6.) The
    average is recorded and exported from the first checkpoint on, before that the weights.
    """

    count: Annotated[int, "checkpoints that are averaged", Ge(1)] = 6
    every: Annotated[int, "steps from one checkpoint to the next", Ge(1)] = 100

    keeps_direction: ClassVar[bool] = False

    def init(self, inner: Method, params: Params, about: About) -> State:
        """Start without a checkpoint."""
        kept = {name: p.new_zeros((self.count, *p.shape)) for name, p in params.items()}
        return {"inner": inner.init(params, about), "kept": kept, "members": number(params)}

    def step(  # noqa: PLR0913, PLR0917 -- those of the contract
        self, inner: Method, params: Params, state: State, ask: Ask, lr: Array, step: int
    ) -> tuple[Params, State]:
        """Return the rule's step; every few steps it replaces the oldest checkpoint."""
        params, after = inner.step(params, state["inner"], ask, lr, step)
        if step % self.every:
            return params, {**state, "inner": after}
        point = inner.at(params, after)
        kept = {n: torch.cat((old[1:], point[n][None])) for n, old in state["kept"].items()}
        members = (state["members"] + 1).clamp(max=self.count)
        return params, {"inner": after, "kept": kept, "members": members}

    def at(self, inner: Method, params: Params, state: State) -> Params:
        """Return the mean of the checkpoints, or the rule's point where there is none."""
        members = state["members"]
        mean = {name: kept.sum(0) / members.clamp(min=1.0) for name, kept in state["kept"].items()}
        return chosen(members > 0, mean, inner.at(params, state["inner"]))
