"""D-Adaptation for SGD: its step size is a growing lower bound of the distance to the minimum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import torch
from annotated_types import Ge, Lt

from gdcli import trees
from gdcli.method import Method
from gdcli.optimizers.dadapt_adam import FirstGuess, Growth, grown

if TYPE_CHECKING:
    from gdcli.method import About, Ask, State
    from gdcli.problem import Array, Params


@dataclass(frozen=True)
class DAdaptSGD(Method):
    """z -= lr * d / |first grad| * grad; param = momentum * param + (1 - momentum) * z.

    Defazio and Mishchenko 2023, algorithm 4: d is the largest bound so far of the distance from the
    start to the minimum. The formulas are those of the package dadaptation. In it, the norm of the
    first gradient is without weight decay, which it adds to a copy there; so it is here. A first
    gradient of 0, by which it divides, is passed over here. The learning rate is a factor of the
    estimated step size: 1, unless training is unstable.
    """

    momentum: Annotated[
        float, "share of the parameters that is kept in each step; the rest is z", Ge(0), Lt(1)
    ] = 0.0
    d0: FirstGuess = 1e-6
    growth_rate: Growth = None

    default_lr: ClassVar[float | None] = 1.0

    def init(self, params: Params, about: About) -> State:
        """Keep the start, and begin with the first guess of the distance."""
        number = trees.number(params)
        return {
            "start": params,
            "sum": trees.zeros(params),
            "d": number + self.d0,
            "first": number,
            "numerator": number,
        }

    def step(
        self, params: Params, state: State, ask: Ask, lr: Array, step: int
    ) -> tuple[Params, State]:
        """Return the parameters after a step: a mean of them and of z."""
        _, plain = ask(params)
        grad = trees.add(plain, params, self.weight_decay) if self.decays else plain
        d = state["d"]
        first = torch.where(state["first"] > 0, state["first"], trees.norm(plain))
        rate = torch.where(first > 0, d * lr / first, 0.0)
        numerator = state["numerator"] + rate * trees.dot(grad, state["sum"])
        total = trees.add(state["sum"], grad, rate)
        length = trees.norm(total)
        bound = torch.where(length > 0, 2 * numerator / length, d)
        z = trees.add(state["start"], total, -1.0)
        after = {
            "start": state["start"],
            "sum": total,
            "d": grown(d, bound, self.growth_rate),
            "first": first,
            "numerator": numerator,
        }
        # Written as a difference, so that points at the same place stay there.
        return trees.add(params, trees.add(z, params, -1.0), 1 - self.momentum), after
