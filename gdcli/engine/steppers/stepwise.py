"""Any program with any rule: gradient, then update, step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gdcli.engine.program import Program
from gdcli.engine.steppers.stepper import Stepper

if TYPE_CHECKING:
    from gdcli.optimizer import State
    from gdcli.problem import Params


class Stepwise(Stepper[Program]):
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
        program, rule = self.program, self.rule
        if self.orders is None:
            for step in range(first, last):
                program.step = step
                rule.step(params, gradient or program.gradient(params, None), states, step)
                gradient = None
            return
        for step, batch in zip(range(first, last), self.batches(first, last), strict=True):
            program.step = step
            rule.step(params, program.gradient(params, batch), states, step)
