"""How the trials of a cohort run together: gather, gradient, update, and now and then a record."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from heapq import merge
from itertools import pairwise
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, cast

import numpy as np

from gdcli.engine.plan import Plan
from gdcli.engine.programs.program import Program
from gdcli.engine.recorder import (
    DIVERGED,
    RUNNING,
    Arrays,
    BatchHistory,
    Checkpointer,
    Measures,
    Recorder,
    packed,
    unpack,
)
from gdcli.engine.steps.stepper import Stepper
from gdcli.engine.update import StackedOptimizer
from gdcli.engine.watcher import Ending, Watcher, copied
from gdcli.problem import Array, Params

if TYPE_CHECKING:
    from gdcli.optimizer import State

# Called with the parameters at every recorded point; those of ended trials mean nothing.
OnRecord: TypeAlias = Callable[[Program, Params], None]
# Called with the lowest training loss at a recorded point, a few times a second at most.
OnLoss: TypeAlias = Callable[[float], None]
INTERVAL = 0.2  # seconds between calls of OnLoss: a loss waits for a GPU


class Stop(NamedTuple):
    """A step after which the trials are evaluated."""

    step: int
    recorded: bool  # else it is watched only


@dataclass(frozen=True)
class Hooks:
    """What happens on the way besides training; None: nothing."""

    checkpointer: Checkpointer | None = None
    on_record: OnRecord | None = None
    on_loss: OnLoss | None = None


NO_HOOKS = Hooks()


@dataclass
class Loop:
    """The parts that a batch of trials is trained with."""

    program: Program
    params: Params  # changed in place
    optimizer: StackedOptimizer
    plan: Plan
    stepper: Stepper[Any]
    recorder: Recorder
    measures: Measures | None = None  # of every recorded point
    watcher: Watcher | None = None
    hooks: Hooks = NO_HOOKS
    due: float = field(default=0.0, init=False)  # when `on_loss` is called next
    gradient: Params | None = field(default=None, init=False)  # at the last recorded point
    before: Arrays | None = field(default=None, init=False)  # the state at the last evaluated point

    def run(self, advance: Callable[[int], None]) -> BatchHistory:
        """Train every trial and return its history; `advance` is called with the steps taken."""
        states = self.optimizer.init(self.params)
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
            known = here.recorded and taken <= here.step and self.program.reuses_recorded_gradient
            gradient = self.gradient if known else None
            for first, last in self._stretches(max(here.step, taken), there.step):
                self.program.set_step(first)
                self.stepper.advance(self.params, states, first, last, gradient)
                gradient = None
                advance(last - first)
                self._checkpoint(last, states)
            if there.recorded:
                self._record(there.step, states)
            else:
                self._look(there.step, self.params, states)
        return self._curves()

    def _stops(self) -> Iterator[Stop]:
        """Yield the steps after which the trials are evaluated, ascending: recorded or watched."""
        recorded = (Stop(step, recorded=True) for step in self.plan.points())
        # A stepper that fuses all steps cannot stop between them with the same bits: see `_peek`.
        steps = self.watcher.watched.steps if self.watcher and self.stepper.checkpoint_every else ()
        watched = (Stop(step, recorded=False) for step in steps)
        last = -1
        for stop in merge(recorded, watched, key=lambda stop: (stop.step, not stop.recorded)):
            if stop.step > last:
                yield stop
                last = stop.step

    def _record(self, step: int, states: dict[str, State]) -> None:
        """Record a point; the trials that end there stand still from then on."""
        self.program.set_step(step)
        evaluation = self.program.evaluate(self.params)
        self.gradient = evaluation.gradient  # of the full training loss: gd's next step uses it
        if self.measures:
            running = self.recorder.running(evaluation)
            evaluation = self.measures.added(self.params, evaluation._replace(running=running))
        ended = self.recorder.record(step, evaluation, self.params)
        some = not self.program.device.eager or bool(ended.any())
        if self.watcher:
            if some:
                diverged = ended & (self.recorder.ended == DIVERGED)
                self._cross(diverged, step, evaluation.values["train_loss"], states)
            self.watcher.add(step, evaluation)
        if self.hooks.on_loss and monotonic() >= self.due:
            if (loss := self.recorder.lowest()) is not None:
                self.hooks.on_loss(loss)
            self.due = monotonic() + INTERVAL
        if self.hooks.on_record:
            self.hooks.on_record(self.program, self.params)
        if some:
            self.optimizer.freeze(ended, self.params, self.gradient, states)

    def _look(self, step: int, params: Params, states: dict[str, State]) -> None:
        """Evaluate a watched step that is not recorded."""
        self.program.set_step(step)
        evaluation, watcher = self.program.evaluate(params), self.watcher
        if watcher is None:
            return
        loss, running = evaluation.values["train_loss"], self.recorder.ended == RUNNING
        beyond = running & watcher.beyond(loss, self.recorder.limit, params)
        self._cross(beyond, step, loss, states)
        watcher.add(step, evaluation)

    def _peek(self, here: int, there: int, taken: int, states: dict[str, State]) -> None:
        """Watch steps between two points on a copy, where the stepper cannot stop at them."""
        if self.watcher is None or self.stepper.checkpoint_every:
            return
        for step in self.watcher.watched.steps:
            if max(here, taken) < step < there:
                params, own = copied(self.params), {n: copied(s) for n, s in states.items()}
                self.program.set_step(here)
                self.stepper.advance(params, own, here, step, None)
                self._look(step, params, states)

    def _remember(self, here: int, there: int, states: dict[str, State]) -> None:
        """Keep the state of a point, from which a crossing may be searched for."""
        if self.watcher and self.program.replays and there - here > 1:
            held = packed(here, self.params, states, self.program)
            self.before = {name: array.copy() for name, array in held.items()}

    def _cross(self, trials: Array, step: int, loss: Array, states: dict[str, State]) -> None:
        """Find the step at which trials left their bounds that are out of bounds at a point."""
        watcher = self.watcher
        if watcher is None:
            return
        if not self.program.device.eager:
            watcher.cross(trials, watcher.last, step, loss, self.recorder.limit)
            return
        trials = trials & (watcher.crossed < 0)
        if not trials.any():
            return
        if self.before is None or int(self.before["step"]) >= step - 1:
            watcher.cross(trials, max(0, step - 1), step, loss, self.recorder.limit)
            return
        buffers = self.program.buffers
        self._narrow(self.before, trials, step, loss, states)
        self.program.buffers = buffers
        self.program.set_step(step)

    def _narrow(
        self, start: Arrays, trials: Array, end: int, loss: Array, states: dict[str, State]
    ) -> None:
        """Find the crossing by bisection between a state in bounds and a point out of bounds.

        A loss that left its bounds is assumed to stay out of bounds until that point.
        """
        watcher, limit, first = (
            cast("Watcher", self.watcher),
            self.recorder.limit,
            int(start["step"]),
        )
        if end - first == 1:
            watcher.cross(trials, first, end, loss, limit)
            return
        middle = (first + end) // 2
        params, own = dict(self.params), {name: dict(state) for name, state in states.items()}
        unpack({name: array.copy() for name, array in start.items()}, params, own, self.program)
        self.program.set_step(first)
        for here, there in self._stretches(first, middle):
            self.program.set_step(here)
            self.stepper.advance(params, own, here, there, None)
        self.program.set_step(middle)
        found = self.program.training_loss(params)
        beyond = watcher.beyond(found, limit, params)
        held = packed(middle, params, own, self.program)
        held = {name: array.copy() for name, array in held.items()}
        if (early := trials & beyond).any():
            self._narrow(start, early, middle, found, states)
        if (late := trials & ~beyond).any():
            self._narrow(held, late, end, loss, states)

    def _stretches(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """Yield the first and last of steps that are taken without a pause."""
        if first < self.program.quantize_from_step < last:
            yield from self._stretches(first, self.program.quantize_from_step)
            first = self.program.quantize_from_step
        pause = self.stepper.checkpoint_every if self.hooks.checkpointer else None
        while pause and first // pause * pause + pause < last:
            stop = first // pause * pause + pause
            yield first, stop
            first = stop
        if first < last:
            yield first, last

    def _checkpoint(self, step: int, states: dict[str, State]) -> None:
        """Store a checkpoint if one is due."""
        checkpointer = self.hooks.checkpointer
        if checkpointer and checkpointer.due():
            state = packed(step, self.params, states, self.program) | self.recorder.packed()
            if self.watcher:
                state |= self.watcher.packed()
                state |= {f"before {name}": array for name, array in (self.before or {}).items()}
            checkpointer.save(state)

    def _resume(self, states: dict[str, State]) -> int:
        """Restore the stored checkpoint, if there is one; return the steps taken before it."""
        checkpointer = self.hooks.checkpointer
        arrays = checkpointer.load() if checkpointer else None
        if arrays is None:
            return 0
        self.recorder.unpack(arrays)
        self.optimizer.stop(self.recorder.ended != RUNNING)
        if self.watcher:
            self.watcher.unpack(arrays)
            own = {n: a for n, a in arrays.items() if n.startswith("before ")}
            self.before = {n.removeprefix("before "): a for n, a in own.items()} or None
        return unpack(arrays, self.params, states, self.program)

    def _curves(self) -> BatchHistory:
        """Return what was recorded and watched."""
        curves = self.recorder.curves()
        if self.watcher is None:
            return curves
        last = np.array(curves.steps)[curves.length - 1]
        end = Ending(self.program, self.params, self.watcher, self.recorder.ended == RUNNING)
        trajectory = self.watcher.trajectory(last, end.curvature(), end.dead_units())
        return curves._replace(trajectory=trajectory)
