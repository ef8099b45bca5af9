"""Any program with any rule: gradient, then update, step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gdcli.engine.steppers.stepper import P, Stepper

if TYPE_CHECKING:
    from gdcli.optimizer import State
    from gdcli.problem import Params


class Stepwise(Stepper[P]):
    """The plain way, which every other must agree with."""

    words = "step by step"

    def advance(
        self,
        params: Params,
        states: dict[str, State],
        first: int,
        last: int,
        gradient: Params | None,
    ) -> None:
        """Take each step by itself."""
        gradient = None if self.orders else gradient
        for step, batch in zip(range(first, last), self.batches(first, last), strict=True):
            self.program.step = step
            self.take(params, states, step, batch, gradient)
            gradient = None

    def take(
        self,
        params: Params,
        states: dict[str, State],
        step: int,
        batch: Any,
        gradient: Params | None = None,
    ) -> None:
        """Take one step on a batch, whose gradient may be known."""
        gradient = gradient or self.program.gradient(params, batch)
        self.rule.step(params, gradient, states, step)
