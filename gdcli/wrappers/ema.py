"""Exponential moving average of the weights; the average is recorded and exported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import torch
from annotated_types import Ge, Lt

from gdcli.arrays import spread
from gdcli.method import Wrapper

if TYPE_CHECKING:
    from gdcli.method import About, Ask, Method, State
    from gdcli.problem import Array, Params


@dataclass(frozen=True)
class Ema(Wrapper):
    """average = decay * average + (1 - decay) * param after each step.

    It is the parameters themselves after the first step, as in torch.optim.swa_utils.AveragedModel
    with get_ema_multi_avg_fn (Polyak and Juditsky 1992 average with equal shares; with a decay:
    Tarvainen and Valpola 2017). Training goes on from the parameters, not from the average.
    """

    decay: Annotated[float, "share of the average that is kept in each step", Ge(0), Lt(1)] = 0.999

    keeps_direction: ClassVar[bool] = False
    stacks: ClassVar[bool] = True

    def init(self, inner: Method, params: Params, about: About) -> State:
        """Start with the average at the starting point."""
        return {"inner": inner.init(params, about), "average": dict(params)}

    def step(  # noqa: PLR0913, PLR0917 -- those of the contract
        self, inner: Method, params: Params, state: State, ask: Ask, lr: Array, step: int
    ) -> tuple[Params, State]:
        """Return the rule's step, and the average with it."""
        params, after = inner.step(params, state["inner"], ask, lr, step)
        average = inner.at(params, after)
        if step > 1:
            before, share = state["average"], 1 - self.decay
            average = {
                name: torch.lerp(before[name], new, spread(share, new))
                for name, new in average.items()
            }
        return params, {"inner": after, "average": average}

    def at(self, inner: Method, params: Params, state: State) -> Params:
        """Return the average."""
        average: Params = state["average"]
        return average
