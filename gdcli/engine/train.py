"""How the trials of a cohort run together: gather, gradient, update, and now and then a record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from gdcli.engine.plan import Plan
from gdcli.engine.program import Program
from gdcli.engine.recorder import Curves, Recorder
from gdcli.engine.rule import Rule
from gdcli.engine.steppers.stepper import Stepper
from gdcli.problem import Params


@dataclass(frozen=True)
class Loop:
    """The parts that a batch of trials is trained with."""

    program: Program
    params: Params  # changed in place
    rule: Rule
    plan: Plan
    stepper: Stepper[Any]
    recorder: Recorder

    def run(self, advance: Callable[[int], None]) -> Curves:
        """Train every trial and return the curves; `advance` is told of the steps taken."""
        program, params, recorder = self.program, self.params, self.recorder
        states = self.rule.init(params)
        evaluation = program.evaluate(params)
        ended = recorder.record(0, evaluation, params)
        for here, there in pairwise(self.plan.points()):
            if recorder.over:
                break
            if not program.device.eager or ended.any():
                self.rule.freeze(ended, params, evaluation.gradient, states)
            self.stepper.advance(params, states, here, there, evaluation.gradient)
            evaluation = program.evaluate(params)
            ended = recorder.record(there, evaluation, params)
            advance(there - here)
        return recorder.curves()
