"""How the trials of a cohort run together: gather, gradient, update, and now and then a record."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeAlias

from gdcli.engine.checkpoint import Keeper, packed, unpack
from gdcli.engine.plan import Plan
from gdcli.engine.program import Program
from gdcli.engine.recorder import RUNNING, Curves, Recorder
from gdcli.engine.rule import Rule
from gdcli.engine.sharpness import Sharpness
from gdcli.engine.steppers.stepper import Stepper
from gdcli.problem import Params

if TYPE_CHECKING:
    from gdcli.optimizer import State

# Told of the parameters at every recorded point; those of trials that have ended mean nothing.
Watch: TypeAlias = Callable[[Program, Params], None]
# Told of the lowest training loss at a recorded point, a few times a second at most.
Hear: TypeAlias = Callable[[float], None]
INTERVAL = 0.2  # seconds: for a loss a GPU has to be waited for


@dataclass
class Loop:
    """The parts that a batch of trials is trained with."""

    program: Program
    params: Params  # changed in place
    rule: Rule
    plan: Plan
    stepper: Stepper[Any]
    recorder: Recorder
    keeper: Keeper | None = None
    watch: Watch | None = None
    sharpness: Sharpness | None = None  # measured at every recorded point, if it is
    hear: Hear | None = None
    due: float = 0.0  # when `hear` is told next
    gradient: Params | None = None  # at the last recorded point

    def run(self, advance: Callable[[int], None]) -> Curves:
        """Train every trial and return the curves; `advance` is told of the steps taken."""
        states = self.rule.init(self.params)
        taken = self._resume(states)
        if taken:
            advance(taken)
        else:
            self._record(0, states)
        for here, there in pairwise(self.plan.points()):
            if self.recorder.over:
                break
            if there < taken:
                continue
            gradient = self.gradient if taken <= here and self.program.steady else None
            for first, last in self._stretches(max(here, taken), there):
                self.program.reach(first)
                self.stepper.advance(self.params, states, first, last, gradient)
                gradient = None
                advance(last - first)
                self._keep(last, states)
            self._record(there, states)
        return self.recorder.curves()

    def _record(self, step: int, states: dict[str, State]) -> None:
        """Record a point, and still the trials that end there."""
        self.program.reach(step)
        evaluation = self.program.evaluate(self.params)
        self.gradient = evaluation.gradient  # of the full training loss: the next step's, for gd
        if self.sharpness:
            wanted = self.recorder.running(evaluation)
            evaluation.values["sharpness"] = self.sharpness.at(self.params, wanted)
        ended = self.recorder.record(step, evaluation, self.params)
        if self.hear and monotonic() >= self.due:
            if (loss := self.recorder.lowest()) is not None:
                self.hear(loss)
            self.due = monotonic() + INTERVAL
        if self.watch:
            self.watch(self.program, self.params)
        if not self.program.device.eager or ended.any():
            self.rule.freeze(ended, self.params, self.gradient, states)

    def _stretches(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """Yield steps that are taken without a pause, from here to there."""
        if first < self.program.turn < last:
            yield from self._stretches(first, self.program.turn)
            first = self.program.turn
        pause = self.stepper.pause if self.keeper else None
        while pause and first // pause * pause + pause < last:
            stop = first // pause * pause + pause
            yield first, stop
            first = stop
        if first < last:
            yield first, last

    def _keep(self, step: int, states: dict[str, State]) -> None:
        """Keep what training can go on from, now and then."""
        if self.keeper and self.keeper.due():
            state = packed(step, self.params, states, self.program)
            self.keeper.save(state | self.recorder.packed())

    def _resume(self, states: dict[str, State]) -> int:
        """Take up a state that was kept; return the steps taken before it."""
        arrays = self.keeper.load() if self.keeper else None
        if arrays is None:
            return 0
        self.recorder.unpack(arrays)
        self.rule.stop(self.recorder.ended != RUNNING)
        return unpack(arrays, self.params, states, self.program)
