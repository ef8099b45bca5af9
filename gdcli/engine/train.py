"""How the trials of a cohort run together: gather, gradient, update, and now and then a record."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from heapq import merge
from itertools import pairwise
from time import monotonic
from typing import Any, NamedTuple, TypeAlias, cast

import numpy as np

from gdcli.engine.plan import Plan
from gdcli.engine.programs.program import Evaluation, Program
from gdcli.engine.recorder import (
    DIVERGED,
    RUNNING,
    BatchHistory,
    Checkpointer,
    Measures,
    Recorder,
    TrainingState,
)
from gdcli.engine.steps.stepper import Stepper
from gdcli.engine.update import StackedOptimizer
from gdcli.engine.watcher import Ending, Watcher
from gdcli.problem import Array, Params

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
    # When `on_loss` is called next, the last recorded gradient, the state of the last evaluation.
    due: float = field(default=0.0, init=False)
    gradient: Params | None = field(default=None, init=False)
    before: TrainingState | None = field(default=None, init=False)

    def run(self, advance: Callable[[int], None]) -> BatchHistory:
        """Train every trial and return its history; `advance` is called with the steps taken."""
        buffers = self.program.buffers
        state = TrainingState(0, self.params, self.optimizer.init(self.params), buffers)
        state = self._resumed(state)
        taken = state.step
        if taken:
            advance(taken)
        else:
            self._record(state)
        for here, there in pairwise(self._stops()):
            if self.recorder.over:
                break
            if there.step < taken:
                continue
            if taken <= here.step:
                self._remember(state, there.step)
            self._peek(state, there.step)
            known = here.recorded and taken <= here.step and self.program.reuses_recorded_gradient
            gradient = self.gradient if known else None
            for pause in self._pauses(state.step, there.step):
                before, state = state.step, self.stepper.advance(state, pause, gradient)
                gradient = None
                advance(state.step - before)
                self._checkpoint(state)
            if there.recorded:
                self._record(state)
            else:
                self._look(state)
        return self._history(state)

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

    def _evaluate(self, state: TrainingState) -> Evaluation:
        """Return the evaluation of a state."""
        self.program.set_step(state.step)
        self.program.buffers = state.buffers
        return self.program.evaluate(state.params)

    def _record(self, state: TrainingState) -> None:
        """Record a point; the trials that end there stand still from then on."""
        evaluation = self._evaluate(state)
        self.gradient = evaluation.gradient  # of the full training loss: gd's next step uses it
        if self.measures:
            running = self.recorder.running(evaluation)
            evaluation = self.measures.added(state.params, evaluation._replace(running=running))
        ended = self.recorder.record(state.step, evaluation, state.params)
        some = not self.program.device.eager or bool(ended.any())
        if self.watcher:
            if some:
                diverged = ended & (self.recorder.ended == DIVERGED)
                self._cross(diverged, state, evaluation.values["train_loss"])
            self.watcher.add(state.step, evaluation)
        if self.hooks.on_loss and monotonic() >= self.due:
            if (loss := self.recorder.lowest()) is not None:
                self.hooks.on_loss(loss)
            self.due = monotonic() + INTERVAL
        if self.hooks.on_record:
            self.hooks.on_record(self.program, state.params)
        if some:
            self.optimizer.freeze(ended, state.params, self.gradient, state.optimizer)
        self.optimizer.observe(evaluation.values["train_loss"])

    def _look(self, state: TrainingState) -> None:
        """Evaluate a watched step that is not recorded."""
        evaluation, watcher = self._evaluate(state), self.watcher
        if watcher is None:
            return
        loss, running = evaluation.values["train_loss"], self.recorder.ended == RUNNING
        beyond = running & watcher.beyond(loss, self.recorder.limit, state.params)
        self._cross(beyond, state, loss)
        watcher.add(state.step, evaluation)

    def _peek(self, state: TrainingState, there: int) -> None:
        """Watch steps between two points on a copy, where the stepper cannot stop at them."""
        if self.watcher is None or self.stepper.checkpoint_every:
            return
        for step in self.watcher.watched.steps:
            if state.step < step < there:
                self._look(self.stepper.advance(state.copy(), step))

    def _remember(self, state: TrainingState, there: int) -> None:
        """Keep the state of a point, from which a crossing may be searched for."""
        if self.watcher and self.program.replays and there - state.step > 1:
            self.before = state.copy()

    def _cross(self, trials: Array, state: TrainingState, loss: Array) -> None:
        """Find the step at which trials left their bounds that are out of bounds at a point."""
        watcher, step = self.watcher, state.step
        if watcher is None:
            return
        if not self.program.device.eager:
            watcher.cross(trials, watcher.last, step, loss, self.recorder.limit)
            return
        trials = trials & (watcher.crossed < 0)
        if not trials.any():
            return
        if self.before is None or self.before.step >= step - 1:
            watcher.cross(trials, max(0, step - 1), step, loss, self.recorder.limit)
            return
        self._narrow(self.before, trials, step, loss)
        self.program.set_step(step)
        self.program.buffers = state.buffers

    def _narrow(self, start: TrainingState, trials: Array, end: int, loss: Array) -> None:
        """Find the crossing by bisection between a state in bounds and a point out of bounds.

        A loss that left its bounds is assumed to stay out of bounds until that point.
        """
        watcher, limit = cast("Watcher", self.watcher), self.recorder.limit
        if end - start.step == 1:
            watcher.cross(trials, start.step, end, loss, limit)
            return
        middle = start.copy()
        for pause in self._pauses(start.step, (start.step + end) // 2):
            middle = self.stepper.advance(middle, pause)
        self.program.set_step(middle.step)
        found = self.program.training_loss(middle.params)
        beyond = watcher.beyond(found, limit, middle.params)
        if (early := trials & beyond).any():
            self._narrow(start, early, middle.step, found)
        if (late := trials & ~beyond).any():
            self._narrow(middle, late, end, loss)

    def _pauses(self, first: int, last: int) -> Iterator[int]:
        """Yield the steps after `first` up to which the stepper goes at a time."""
        if first < self.program.quantize_from_step < last:
            yield from self._pauses(first, self.program.quantize_from_step)
            first = self.program.quantize_from_step
        every = self.stepper.checkpoint_every if self.hooks.checkpointer else None
        while every and first // every * every + every < last:
            first = first // every * every + every
            yield first
        if first < last:
            yield last

    def _checkpoint(self, state: TrainingState) -> None:
        """Store a checkpoint if one is due."""
        checkpointer, device = self.hooks.checkpointer, self.program.device
        if checkpointer and checkpointer.due():
            arrays = state.packed(device) | self.recorder.packed() | self.optimizer.packed()
            if self.watcher:
                arrays |= self.watcher.packed()
                before = self.before.packed(device) if self.before else {}
                arrays |= {f"before {name}": array for name, array in before.items()}
            checkpointer.save(arrays)

    def _resumed(self, state: TrainingState) -> TrainingState:
        """Return the stored checkpoint's state, or this one if there is none."""
        checkpointer, device = self.hooks.checkpointer, self.program.device
        arrays = checkpointer.load() if checkpointer else None
        if arrays is None:
            return state
        self.recorder.unpack(arrays)
        self.optimizer.unpack(arrays)
        self.optimizer.stop(self.recorder.ended != RUNNING)
        if self.watcher:
            self.watcher.unpack(arrays)
            own = {n: a for n, a in arrays.items() if n.startswith("before ")}
            before = {n.removeprefix("before "): a for n, a in own.items()}
            self.before = state.unpacked(before, device) if before else None
        found = state.unpacked(arrays, device)
        self.params.update(found.params)
        self.program.buffers = found.buffers
        return found._replace(params=self.params)

    def _history(self, state: TrainingState) -> BatchHistory:
        """Return what was recorded and watched."""
        history = self.recorder.curves()
        if self.watcher is None:
            return history
        last = np.array(history.steps)[history.length - 1]
        end = Ending(self.program, state.params, self.watcher, self.recorder.ended == RUNNING)
        trajectory = self.watcher.trajectory(last, end.curvature(), end.dead_units())
        return history._replace(trajectory=trajectory)
