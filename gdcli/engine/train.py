"""How the trials of a cohort run together: gather, gradient, update, and now and then a record."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from heapq import merge
from itertools import pairwise
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, cast

import numpy as np

from gdcli.engine.hessian import Sharpness
from gdcli.engine.initial import Start
from gdcli.engine.plan import Plan
from gdcli.engine.programs.program import Program
from gdcli.engine.recorder import (
    DIVERGED,
    RUNNING,
    Arrays,
    Curves,
    Keeper,
    Recorder,
    packed,
    unpack,
)
from gdcli.engine.steps.stepper import Stepper
from gdcli.engine.update import Rule
from gdcli.engine.watcher import Ending, Watcher, copied
from gdcli.problem import Array, Params

if TYPE_CHECKING:
    from gdcli.optimizer import State

# Told of the parameters at every recorded point; those of trials that have ended mean nothing.
Watch: TypeAlias = Callable[[Program, Params], None]
# Told of the lowest training loss at a recorded point, a few times a second at most.
Hear: TypeAlias = Callable[[float], None]
INTERVAL = 0.2  # seconds: for a loss a GPU has to be waited for


class Stop(NamedTuple):
    """A step after which the trials are evaluated."""

    step: int
    recorded: bool  # else it is watched only


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
    watcher: Watcher | None = None
    starts: Sequence[Start] = ()  # one a seed, as the search for curvature wants them
    before: Arrays | None = None  # the state at the last point that was evaluated, to go back to

    def run(self, advance: Callable[[int], None]) -> Curves:
        """Train every trial and return the curves; `advance` is told of the steps taken."""
        states = self.rule.init(self.params)
        taken = self._resume(states)
        if taken:
            advance(taken)
        else:
            self._record(0, states)
        for here, there in pairwise(self._stops()):
            if self.recorder.over:
                break
            if there.step < taken:
                continue
            if taken <= here.step:
                self._remember(here.step, there.step, states)
            self._peek(here.step, there.step, taken, states)
            known = here.recorded and taken <= here.step and self.program.steady
            gradient = self.gradient if known else None
            for first, last in self._stretches(max(here.step, taken), there.step):
                self.program.reach(first)
                self.stepper.advance(self.params, states, first, last, gradient)
                gradient = None
                advance(last - first)
                self._keep(last, states)
            if there.recorded:
                self._record(there.step, states)
            else:
                self._look(there.step, self.params, states)
        return self._curves()

    def _stops(self) -> Iterator[Stop]:
        """Yield the steps after which the trials are evaluated, ascending: recorded or watched."""
        recorded = (Stop(step, recorded=True) for step in self.plan.points())
        # To stop where a power of a step may not be cut would change bits: see `_peek`.
        steps = self.watcher.watched.steps if self.watcher and self.stepper.pause else ()
        watched = (Stop(step, recorded=False) for step in steps)
        last = -1
        for stop in merge(recorded, watched, key=lambda stop: (stop.step, not stop.recorded)):
            if stop.step > last:
                yield stop
                last = stop.step

    def _record(self, step: int, states: dict[str, State]) -> None:
        """Record a point, and still the trials that end there."""
        self.program.reach(step)
        evaluation = self.program.evaluate(self.params)
        self.gradient = evaluation.gradient  # of the full training loss: the next step's, for gd
        if self.sharpness:
            wanted = self.recorder.running(evaluation)
            evaluation.values["sharpness"] = self.sharpness.at(self.params, wanted)
        ended = self.recorder.record(step, evaluation, self.params)
        some = not self.program.device.eager or bool(ended.any())
        if self.watcher:
            if some:
                diverged = ended & (self.recorder.ended == DIVERGED)
                self._cross(diverged, step, evaluation.values["train_loss"], states)
            self.watcher.add(step, evaluation)
        if self.hear and monotonic() >= self.due:
            if (loss := self.recorder.lowest()) is not None:
                self.hear(loss)
            self.due = monotonic() + INTERVAL
        if self.watch:
            self.watch(self.program, self.params)
        if some:
            self.rule.freeze(ended, self.params, self.gradient, states)

    def _look(self, step: int, params: Params, states: dict[str, State]) -> None:
        """Watch a step that is not recorded."""
        self.program.reach(step)
        evaluation, watcher = self.program.evaluate(params), self.watcher
        if watcher is None:
            return
        loss, running = evaluation.values["train_loss"], self.recorder.ended == RUNNING
        beyond = running & watcher.beyond(loss, self.recorder.limit, params)
        self._cross(beyond, step, loss, states)
        watcher.add(step, evaluation)

    def _peek(self, here: int, there: int, taken: int, states: dict[str, State]) -> None:
        """Watch the steps between two points by steps of a copy, where none may be stopped at."""
        if self.watcher is None or self.stepper.pause:
            return
        for step in self.watcher.watched.steps:
            if max(here, taken) < step < there:
                params, own = copied(self.params), {n: copied(s) for n, s in states.items()}
                self.program.reach(here)
                self.stepper.advance(params, own, here, step, None)
                self._look(step, params, states)

    def _remember(self, here: int, there: int, states: dict[str, State]) -> None:
        """Keep the state of a point that a crossing is looked for from."""
        if self.watcher and self.program.replays and there - here > 1:
            held = packed(here, self.params, states, self.program)
            self.before = {name: array.copy() for name, array in held.items()}

    def _cross(self, lanes: Array, step: int, loss: Array, states: dict[str, State]) -> None:
        """Note at which step lanes left their bounds that are out of them at a point."""
        watcher = self.watcher
        if watcher is None:
            return
        if not self.program.device.eager:
            watcher.cross(lanes, watcher.last, step, loss, self.recorder.limit)
            return
        lanes = lanes & (watcher.crossed < 0)
        if not lanes.any():
            return
        if self.before is None or int(self.before["step"]) >= step - 1:
            watcher.cross(lanes, max(0, step - 1), step, loss, self.recorder.limit)
            return
        carried = self.program.carried
        self._narrow(self.before, lanes, step, loss, states)
        self.program.carried = carried
        self.program.reach(step)

    def _narrow(
        self, start: Arrays, lanes: Array, end: int, loss: Array, states: dict[str, State]
    ) -> None:
        """Halve the steps between a state in bounds and a point out of them.

        A loss that left its bounds is taken to stay outside until that point.
        """
        watcher, limit, first = (
            cast("Watcher", self.watcher),
            self.recorder.limit,
            int(start["step"]),
        )
        if end - first == 1:
            watcher.cross(lanes, first, end, loss, limit)
            return
        middle = (first + end) // 2
        params, own = dict(self.params), {name: dict(state) for name, state in states.items()}
        unpack({name: array.copy() for name, array in start.items()}, params, own, self.program)
        self.program.reach(first)
        for here, there in self._stretches(first, middle):
            self.program.reach(here)
            self.stepper.advance(params, own, here, there, None)
        self.program.reach(middle)
        found = self.program.training_loss(params)
        beyond = watcher.beyond(found, limit, params)
        held = packed(middle, params, own, self.program)
        held = {name: array.copy() for name, array in held.items()}
        if (early := lanes & beyond).any():
            self._narrow(start, early, middle, found, states)
        if (late := lanes & ~beyond).any():
            self._narrow(held, late, end, loss, states)

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
            state = packed(step, self.params, states, self.program) | self.recorder.packed()
            if self.watcher:
                state |= self.watcher.packed()
                state |= {f"before {name}": array for name, array in (self.before or {}).items()}
            self.keeper.save(state)

    def _resume(self, states: dict[str, State]) -> int:
        """Take up a state that was kept; return the steps taken before it."""
        arrays = self.keeper.load() if self.keeper else None
        if arrays is None:
            return 0
        self.recorder.unpack(arrays)
        self.rule.stop(self.recorder.ended != RUNNING)
        if self.watcher:
            self.watcher.unpack(arrays)
            own = {n: a for n, a in arrays.items() if n.startswith("before ")}
            self.before = {n.removeprefix("before "): a for n, a in own.items()} or None
        return unpack(arrays, self.params, states, self.program)

    def _curves(self) -> Curves:
        """Return what was recorded and watched."""
        curves = self.recorder.curves()
        if self.watcher is None:
            return curves
        last = np.array(curves.steps)[curves.length - 1]
        end = Ending(self.program, self.params, self.watcher, self.recorder.ended == RUNNING)
        trajectory = self.watcher.trajectory(last, end.curvature(self.starts), end.dead_units())
        return curves._replace(trajectory=trajectory)
