"""The optimizer of a cohort, with one value a trial for each setting, and how steps are taken.

A stepper takes the steps between two recorded points: one by one here, or fused where that is
exact.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from copy import copy
from itertools import repeat
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple, TypeVar, cast

import numpy as np

from gdcli.arrays import namespace
from gdcli.experiment.training import scheduled_field
from gdcli.optimizers.vanilla import Vanilla
from gdcli.schedule import FeedbackSchedule
from gdcli.schedules.constant import Constant

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from gdcli.engine.device import Device
    from gdcli.engine.programs.program import Program
    from gdcli.engine.recorder import TrainingState
    from gdcli.engine.sampling import Orders
    from gdcli.experiment.grid import Trial
    from gdcli.optimizer import Optimizer, State
    from gdcli.problem import Array, Params
    from gdcli.schedule import Schedule


def clipping(program: Program, grads: Params, limit: Array) -> Array:
    """Return the factor that clips each trial's gradient to its largest norm."""
    norm = program.norm(grads)
    return namespace(norm).where(norm > limit, limit / norm, 1.0)


class ScheduledSetting(NamedTuple):
    """A setting with a schedule: an array for each parameter, and the values that are given."""

    schedule: Schedule
    arrays: list[tuple[Array, Array]]

    def change(self, step: int, horizon: int) -> None:
        """Set the arrays to the given values times the multiplier of a step."""
        multiplier = self.schedule.multiplier(step, horizon)
        for array, given in self.arrays:
            array[...] = multiplier * given


class StackedRule(ABC):
    """What moves the trials of a cohort, with their learning rates and schedules."""

    def __init__(self, program: Program, trials: Sequence[Trial], horizon: int) -> None:
        """Take the trials, each with its rate and schedule, and the steps of the budget."""
        self.program, self.horizon = program, horizon
        self.scheduled: list[ScheduledSetting] = []  # besides the learning rate
        self.constant = isinstance(trials[0].schedule, Constant)
        self.schedules = tuple(dict.fromkeys(trial.schedule for trial in trials))
        chosen = [self.schedules.index(trial.schedule) for trial in trials]
        self.schedule = program.layout.scatter(chosen)
        self.lr = program.layout.scatter([trial.lr for trial in trials])
        self.followed = [s for s in (t.schedule for t in trials) if isinstance(s, FeedbackSchedule)]
        self.memories = [schedule.start() for schedule in self.followed]  # of each trial, if any
        self.running = self._spread([1.0] * len(trials))
        self.multipliers: list[float] = []  # of the schedules, at the last step that was asked for
        self.by_trial: Array = None  # learning rates with these multipliers
        self.by_param: Params = {}  # the same, shaped for each parameter

    @property
    def device(self) -> Device:
        """Where states are."""
        return self.program.device

    @abstractmethod
    def init(self, params: Params) -> dict[str, Any]:
        """Return the state of every trial before the first step."""

    @abstractmethod
    def freeze(
        self, ended: Array, params: Params, gradient: Params, states: dict[str, Any]
    ) -> None:
        """Set parameters, gradient and state of ended trials to zero: harmless, finite numbers."""

    def point(self, params: Params, states: dict[str, Any]) -> Params:
        """Return the parameters that are recorded and exported: those that move."""
        return params

    def seen(self, states: dict[str, Any]) -> Array:
        """Return the examples that each trial has asked for; None: the plan tells."""
        return

    def _spread(self, values: Sequence[Any]) -> Array:
        spread = self.program.layout.scatter([float(value) for value in values])
        return self.program.device.array(spread)

    def learning_rates(self, step: int) -> Array:
        """Return the learning rates at a step, of the layout's shape; 0 for trials that have ended.

        Other settings with a schedule take their values of the step, in the arrays that they have:
        a CUDA graph reads these. The learning rates are the same object until a multiplier changes
        or a trial ends.
        """
        for setting in self.scheduled:
            setting.change(step, self.horizon)
        multipliers = [schedule.multiplier(step, self.horizon) for schedule in self.schedules]
        if multipliers != self.multipliers:
            self.multipliers = multipliers
            rates = self.lr * np.array(multipliers)[self.schedule]
            if self.memories:
                own = [memory["multiplier"] for memory in self.memories]
                rates = rates * self.program.layout.scatter(own)
            self.by_trial = self.program.device.array(rates) * self.running
            self.by_param = {}
        return self.by_trial

    def observe(self, loss: Array) -> None:
        """Tell schedules that follow it the training loss of a recorded point."""
        if self.memories:
            losses = self.program.layout.gather(self.program.device.host(loss)).tolist()
            told = zip(self.followed, self.memories, losses, strict=True)
            self.memories = [schedule.observed(memory, one) for schedule, memory, one in told]
            self.multipliers = []

    def packed(self) -> dict[str, NDArray[Any]]:
        """Return what schedules keep in mind as named arrays, for a checkpoint."""
        names = self.memories[0] if self.memories else {}
        return {f"schedule {n}": np.array([m[n] for m in self.memories], float) for n in names}

    def unpack(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Restore what was packed."""
        own = {name: arrays[f"schedule {name}"] for name in (self.memories or [{}])[0]}
        self.memories = [
            {name: float(array[i]) for name, array in own.items()}
            for i in range(len(self.memories))
        ]
        self.multipliers = []

    def _scheduled(self, trial: Trial) -> list[ScheduledSetting]:
        """Return the settings of this rule that a schedule changes, as they are given."""
        found = []
        for setting, schedule in trial.training.scheduled:
            if (field := scheduled_field(trial.optimizer, setting)) is None:
                continue
            arrays = self.arrays_of(field)
            given = [namespace(array).asarray(array, copy=True) for array in arrays]
            found.append(ScheduledSetting(schedule, list(zip(arrays, given, strict=True))))
        return found

    @abstractmethod
    def arrays_of(self, field: str) -> list[Array]:
        """Return the arrays that hold the values of a setting; none: it has no effect."""

    def stop(self, ended: Array) -> None:
        """Set the learning rates of ended trials to zero."""
        self.running = namespace(ended).where(ended, 0.0, self.running)
        self.multipliers = []


class StackedOptimizer(StackedRule):
    """Updates every parameter of every trial in one step."""

    def __init__(
        self, program: Program, trials: Sequence[Trial], params: Params, horizon: int
    ) -> None:
        """Make arrays of all trials' settings, once for the shape of each parameter."""
        super().__init__(program, trials, horizon)
        optimizers = [cast("Optimizer", trial.optimizer) for trial in trials]
        self.first = optimizers[0]
        self.optimizers = {name: self._stacked(optimizers, param) for name, param in params.items()}
        # All trials of a cohort decay, clip or follow a schedule, or none does.
        self.decays = optimizers[0].weight_decay > 0
        self.clips = optimizers[0].clip_norm is not None
        self.limit = self._spread([optimizer.clip_norm or math.inf for optimizer in optimizers])
        self.scheduled = self._scheduled(trials[0])
        self.constant = self.constant and not self.scheduled

    @property
    def plain(self) -> bool:
        """Whether a step is the gradient times the learning rate, and nothing else."""
        return isinstance(self.first, Vanilla) and not (self.clips or self.decays)

    def arrays_of(self, field: str) -> list[Array]:
        """Return the arrays of a setting, one for each parameter."""
        if field == "weight_decay" and not self.decays:
            return []
        return [getattr(optimizer, field) for optimizer in self.optimizers.values()]

    def _stacked(self, optimizers: Sequence[Optimizer], param: Array) -> Optimizer:
        """Return the optimizer with an array of one value a trial in every field that may vary."""
        stacked = copy(optimizers[0])
        for name in type(stacked).stacked_fields():
            values = self._spread([getattr(optimizer, name) for optimizer in optimizers])
            # The options were checked when each optimizer was made; the dataclass is frozen.
            object.__setattr__(stacked, name, self.program.broadcast(values, param))
        return stacked

    def init(self, params: Params) -> dict[str, State]:
        """Return the optimizer's state of every parameter."""
        return {name: optimizer.init(params[name]) for name, optimizer in self.optimizers.items()}

    def step(self, params: Params, grads: Params, states: dict[str, State], step: int) -> None:
        """Move the parameters, in place, along the direction of step `step`, counted from 0."""
        scale = clipping(self.program, grads, self.limit) if self.clips else None
        rates = self.rates(step, params)
        for name, optimizer in self.optimizers.items():
            param, grad = params[name], grads[name]
            if scale is not None:
                grad = grad * self.program.broadcast(scale, param)
            if self.decays and not optimizer.decoupled:
                grad = grad + optimizer.weight_decay * param
            direction, states[name] = optimizer.update(grad, states[name], param, step + 1)
            if self.decays and optimizer.decoupled:
                direction = direction + optimizer.weight_decay * param
            # Not in place: an optimizer may store the parameter in its state.
            params[name] = param - rates[name] * direction

    def rates(self, step: int, params: Params) -> Params:
        """Return the learning rates at a step, shaped to broadcast against each parameter."""
        rates = self.learning_rates(step)
        if not self.by_param:
            self.by_param = {name: self.program.broadcast(rates, p) for name, p in params.items()}
        return self.by_param

    def at(self, rates: Array) -> StackedOptimizer:
        """Return a copy with fixed learning rates, whatever the step."""
        fixed = copy(self)
        fixed.schedules, fixed.multipliers = (), []  # no schedule: no multiplier ever changes
        fixed.scheduled = []
        fixed.by_trial, fixed.by_param = rates, {}
        return fixed

    def freeze(
        self, ended: Array, params: Params, gradient: Params, states: dict[str, State]
    ) -> None:
        """Set parameters, gradient and state of ended trials to zero: harmless, finite numbers."""
        self.stop(ended)
        where = namespace(ended).where
        for name, param in list(params.items()):
            mask = self.program.broadcast(ended, param)
            params[name] = where(mask, 0.0, param)
            gradient[name] = where(mask, 0.0, gradient[name])
            states[name] = {key: where(mask, 0.0, value) for key, value in states[name].items()}


PAUSE = 16  # full-batch steps, after which a checkpoint may be kept

P = TypeVar("P", bound="Program")


class Stepper(ABC, Generic[P]):
    """Takes steps with all trials of a batch."""

    description: str  # for the manifest
    steps_fused: ClassVar[int] = (
        1  # steps that are always computed together, whatever fits the cache
    )

    def __init__(self, program: P, optimizer: Any, orders: Orders | None) -> None:
        """Take the program, its optimizer, and the examples' orders; None for full batches."""
        self.program, self.optimizer, self.orders = program, optimizer, orders

    def advance(
        self, state: TrainingState, last: int, gradient: Params | None = None
    ) -> TrainingState:
        """Return the state after `last` steps, whose arrays take the places of those before.

        `gradient` is the gradient of the full training loss at `state`, where it is known.
        """
        self.program.set_step(state.step)
        self.program.buffers = state.buffers
        self.take_steps(state, last, gradient)
        return state._replace(step=last, buffers=self.program.buffers)

    @abstractmethod
    def take_steps(self, state: TrainingState, last: int, gradient: Params | None) -> None:
        """Take the steps up to `last`, and change parameters and optimizer state in place."""

    @property
    def checkpoint_every(self) -> int | None:
        """Checkpoint interval in steps; None: the trial cannot be resumed.

        Resuming at a multiple of it gives identical bits. A block of batches ends with its epoch;
        full batches are taken one by one.
        """
        return PAUSE if self.orders is None else self.orders.plan.steps_per_epoch

    def blocks(self, first: int, last: int) -> Iterator[NDArray[np.int64]]:
        """Yield the example indices of steps, shape (steps, seeds, batch), in blocks."""
        orders = self.orders
        if orders is None:
            return
        row = sum(array[:1].size for array in self.program.data.train.values())
        step = len(orders.seeds) * orders.plan.batch_size * row
        most = max(1, self.program.device.at_once // (step * self.steps_fused)) * self.steps_fused
        yield from orders.blocks(first, last, most)

    def batches(self, first: int, last: int) -> Iterator[Any]:
        """Yield the batch of every step; None is all training examples."""
        if self.orders is None:
            yield from repeat(None, last - first)
        for indices in self.blocks(first, last):
            yield from self.program.batches(indices)


class Stepwise(Stepper[P]):
    """Gradient, then update, step by step: every other stepper must agree with it."""

    description = "step by step"

    def take_steps(self, state: TrainingState, last: int, gradient: Params | None) -> None:
        """Take each step by itself."""
        gradient, first = None if self.orders else gradient, state.step
        for step, batch in zip(range(first, last), self.batches(first, last), strict=True):
            self.program.step = step
            self.take(state.params, state.optimizer, step, batch, gradient)
            gradient = None

    def take(
        self,
        params: Params,
        states: dict[str, State],
        step: int,
        batch: Any,
        gradient: Params | None = None,
    ) -> None:
        """Take one step on a batch; `gradient` is its gradient, where it is known."""
        gradient = gradient or self.program.gradient(params, batch)
        self.optimizer.step(params, gradient, states, step)
