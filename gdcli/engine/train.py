"""How the trials of a cohort run together: gather, gradient, update, and now and then a record."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from heapq import merge
from itertools import pairwise
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from gdcli.engine.plan import Plan
from gdcli.engine.programs.program import Evaluation, Program
from gdcli.engine.recorder import (
    DIVERGED,
    RUNNING,
    Arrays,
    BatchHistory,
    Checkpointer,
    Measures,
    Recorder,
    TrainingState,
)
from gdcli.engine.update import StackedRule, Stepper
from gdcli.engine.watcher import Ending, Watcher
from gdcli.measure import RAW
from gdcli.problem import Array, Params

if TYPE_CHECKING:
    from gdcli.engine.device import Device

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
    # Whether trials are followed between recorded points, and their ends looked into.
    watches: bool = False


NO_HOOKS = Hooks()


@dataclass
class Watch:
    """A run's watcher, and the state of its last stop, from which a crossing is searched for."""

    watcher: Watcher
    plan: Plan
    before: TrainingState | None = None

    def next_stop(self, step: int) -> int:
        """Return the first step after a step at which the run is recorded or watched."""
        place = bisect_right(self.watcher.watched.steps, step)
        watched = self.watcher.watched.steps[place : place + 1]
        return min(self.plan.next_point(step), *watched)

    def packed(self, device: Device, states: Device) -> Arrays:
        """Return what was watched as named arrays, for a checkpoint."""
        before = self.before.packed(device, states) if self.before else {}
        return self.watcher.packed() | {f"before {name}": array for name, array in before.items()}

    def unpack(self, arrays: Arrays, state: TrainingState, device: Device, states: Device) -> None:
        """Restore what was packed, of a batch that has a state like `state`."""
        self.watcher.unpack(arrays)
        own = {n: a for n, a in arrays.items() if n.startswith("before ")}
        before = {n.removeprefix("before "): a for n, a in own.items()}
        self.before = state.unpacked(before, device, states) if before else None


@dataclass
class LongerRun:
    """A run that begins as this one does, and goes on from the state in which it leaves it."""

    watch: Watch
    leaves: int  # the step up to which both runs are the same
    checkpointer: Checkpointer


@dataclass
class Loop:
    """The parts that a batch of trials is trained with."""

    program: Program
    params: Params  # changed in place
    optimizer: StackedRule
    plan: Plan
    stepper: Stepper[Any]
    recorder: Recorder
    measures: Measures | None = None  # of every recorded point
    watcher: Watcher | None = None
    hooks: Hooks = NO_HOOKS
    longer: Sequence[LongerRun] = ()
    # When `on_loss` is called next, and the last recorded gradient.
    due: float = field(default=0.0, init=False)
    gradient: Params | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        """Watch this run, if at all, and the longer ones as long as they are the same."""
        self.own = Watch(self.watcher, self.plan) if self.watcher else None

    @property
    def watches(self) -> list[Watch]:
        """This run's watch, if there is one, and those of the longer runs that are with it."""
        return [*([self.own] if self.own else ()), *(run.watch for run in self.longer)]

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
                self._remember(state, here)
            self._peek(state, there.step)
            known = here.recorded and taken <= here.step and self.program.reuses_recorded_gradient
            gradient = self.gradient if known else None
            for pause in self._pauses(state.step, there.step):
                before, state = state.step, self.stepper.advance(state, pause, gradient)
                gradient = None
                advance(state.step - before)
                self._checkpoint(state)
                self._leave(state)
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
        for run in self.longer:
            steps = (*steps, *(s for s in run.watch.watcher.watched.steps if s < run.leaves))
        watched = (Stop(step, recorded=False) for step in sorted(steps))
        last = -1
        for stop in merge(recorded, watched, key=lambda stop: (stop.step, not stop.recorded)):
            if stop.step > last:
                yield stop
                last = stop.step

    def _evaluate(self, state: TrainingState) -> tuple[Evaluation, Params]:
        """Return the evaluation of a state, and the point that is evaluated."""
        program = self.program
        program.set_step(state.step)
        program.buffers = state.buffers
        point = self.optimizer.point(state.params, state.optimizer)
        if point is state.params:
            return program.evaluate(point), point
        raw = program.training_loss(state.params)
        program.buffers = program.buffers_at(point, state.buffers)
        evaluation = program.evaluate(point)
        return evaluation._replace(values={**evaluation.values, RAW.name: raw}), point

    def _record(self, state: TrainingState) -> None:
        """Record a point; the trials that end there stand still from then on."""
        evaluation, point = self._evaluate(state)
        self.gradient = evaluation.gradient  # of the full training loss: gd's next step uses it
        if self.measures:
            running = self.recorder.running(evaluation)
            evaluation = self.measures.added(point, evaluation._replace(running=running))
        seen = self.optimizer.seen(state.optimizer)
        ended = self.recorder.record(state.step, evaluation, state.params, seen)
        some = not self.program.device.eager or bool(ended.any())
        for watch in self.watches:
            if some:
                diverged = ended & (self.recorder.ended == DIVERGED)
                self._cross(watch, diverged, state, evaluation.values["train_loss"])
            watch.watcher.add(state.step, evaluation)
        if self.hooks.on_loss and monotonic() >= self.due:
            if (loss := self.recorder.lowest()) is not None:
                self.hooks.on_loss(loss)
            self.due = monotonic() + INTERVAL
        if self.hooks.on_record:
            self.hooks.on_record(self.program, point)
        if some:
            self.optimizer.freeze(ended, state.params, self.gradient, state.optimizer)
        self.optimizer.observe(evaluation.values["train_loss"])

    def _look(self, state: TrainingState) -> None:
        """Evaluate a watched step that is not recorded."""
        evaluation, _ = self._evaluate(state)
        loss, running = evaluation.values["train_loss"], self.recorder.ended == RUNNING
        for watch in self.watches:
            if state.step in watch.watcher.wanted:
                beyond = running & watch.watcher.beyond(loss, self.recorder.limit, state.params)
                self._cross(watch, beyond, state, loss)
                watch.watcher.add(state.step, evaluation)

    def _peek(self, state: TrainingState, there: int) -> None:
        """Watch steps between two points on a copy, where the stepper cannot stop at them."""
        if self.watcher is None or self.stepper.checkpoint_every:
            return
        for step in self.watcher.watched.steps:
            if state.step < step < there:
                self._look(self.stepper.advance(state.copy(), step))

    def _remember(self, state: TrainingState, here: Stop) -> None:
        """Keep the state of a point, from which a crossing may be searched for."""
        if not self.program.replays:
            return
        fused = not self.stepper.checkpoint_every
        for watch in self.watches:
            if here.recorded or here.step in watch.watcher.wanted:
                step = state.step
                there = watch.plan.next_point(step) if fused else watch.next_stop(step)
                if there - step > 1:
                    watch.before = state.copy()

    def _cross(self, watch: Watch, trials: Array, state: TrainingState, loss: Array) -> None:
        """Find the step at which trials left their bounds that are out of bounds at a point."""
        watcher, step = watch.watcher, state.step
        if not self.program.device.eager:
            watcher.cross(trials, watcher.last, step, loss, self.recorder.limit)
            return
        trials = trials & (watcher.crossed < 0)
        if not trials.any():
            return
        if watch.before is None or watch.before.step >= step - 1:
            watcher.cross(trials, max(0, step - 1), step, loss, self.recorder.limit)
            return
        self._narrow(watcher, watch.before, trials, step, loss)
        self.program.set_step(step)
        self.program.buffers = state.buffers

    def _narrow(
        self, watcher: Watcher, start: TrainingState, trials: Array, end: int, loss: Array
    ) -> None:
        """Find the crossing by bisection between a state in bounds and a point out of bounds.

        A loss that left its bounds is assumed to stay out of bounds until that point.
        """
        limit = self.recorder.limit
        if end - start.step == 1:
            watcher.cross(trials, start.step, end, loss, limit)
            return
        middle = start.copy()
        for pause in self._pauses(start.step, (start.step + end) // 2):
            middle = self.stepper.advance(middle, pause)
        self.program.set_step(middle.step)
        found = self.program.training_loss(self.optimizer.point(middle.params, middle.optimizer))
        beyond = watcher.beyond(found, limit, middle.params)
        if (early := trials & beyond).any():
            self._narrow(watcher, start, early, middle.step, found)
        if (late := trials & ~beyond).any():
            self._narrow(watcher, middle, late, end, loss)

    def _pauses(self, first: int, last: int) -> Iterator[int]:
        """Yield the steps after `first` up to which the stepper goes at a time."""
        for leaves in sorted({run.leaves for run in self.longer}):
            if first < leaves < last:
                yield from self._pauses(first, leaves)
                first = leaves
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
        checkpointer = self.hooks.checkpointer
        if checkpointer and checkpointer.due():
            checkpointer.save(self._packed(state, self.own))

    @property
    def _places(self) -> tuple[Device, Device]:
        """Where the parameters and the states of the optimizer are."""
        return self.program.device, self.optimizer.device

    def _packed(self, state: TrainingState, watch: Watch | None) -> Arrays:
        """Return all that a run goes on from, with what its watch knows."""
        arrays = state.packed(*self._places) | self.recorder.packed() | self.optimizer.packed()
        return arrays | (watch.packed(*self._places) if watch else {})

    def _leave(self, state: TrainingState) -> None:
        """Keep the state for longer runs that are the same up to here; they go on from it."""
        for run in self.longer:
            if run.leaves == state.step:
                held = run.checkpointer.load()
                if held is None or int(held["step"]) < state.step:
                    run.checkpointer.save(self._packed(state, run.watch))
        self.longer = [run for run in self.longer if run.leaves > state.step]

    def _resumed(self, state: TrainingState) -> TrainingState:
        """Return the stored checkpoint's state, or this one if there is none."""
        checkpointer = self.hooks.checkpointer
        arrays = checkpointer.load() if checkpointer else None
        if arrays is None:
            return state
        self.recorder.unpack(arrays)
        self.optimizer.unpack(arrays)
        self.optimizer.stop(self.recorder.ended != RUNNING)
        if self.own:
            self.own.unpack(arrays, state, *self._places)
        self.longer = [run for run in self.longer if self._rejoined(run, arrays, state)]
        found = state.unpacked(arrays, *self._places)
        self.params.update(found.params)
        self.program.buffers = found.buffers
        return found._replace(params=self.params)

    def _rejoined(self, run: LongerRun, arrays: Arrays, state: TrainingState) -> bool:
        """Return whether a longer run has a checkpoint of the same step, and restore its watch."""
        held = run.checkpointer.load()
        if held is None or int(held["step"]) != int(arrays["step"]) or "watched steps" not in held:
            return False
        run.watch.unpack(held, state, *self._places)
        return run.leaves > int(held["step"])

    def _history(self, state: TrainingState) -> BatchHistory:
        """Return what was recorded and watched."""
        history = self.recorder.curves()
        if self.watcher is None:
            return history
        last = np.array(history.steps)[history.length - 1]
        point = self.optimizer.point(state.params, state.optimizer)
        end = Ending(self.program, point, self.watcher, self.recorder.ended == RUNNING)
        trajectory = self.watcher.trajectory(last, end.curvature(), end.dead_units())
        return history._replace(trajectory=trajectory)
