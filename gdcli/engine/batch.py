"""The batches of trials that a grid is trained in, and the training of one batch.

The parts of the training are put together here: program, optimizer, recorder, and stepper, which
takes the steps of a cohort one by one, or fused where that is exact.

Of several horizons that begin alike, each longer one goes on from where it parts. Warm-up-stable-
decay is the same schedule for every horizon until the cooldown begins, if its warm-up is given in
steps: a trunk, which is trained once, and a branch for each horizon.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from gdcli.catalog.catalog import TorchOptimizer, name_of
from gdcli.engine.device import device_for, keep_memory
from gdcli.engine.examples import examples_of
from gdcli.engine.families.family import (
    alone,
    batch_limit,
    computes_on_torch,
    kinds_of,
    precision,
    program_for,
    repeats,
    starting_point,
)
from gdcli.engine.plan import Plan, plan_of, watched
from gdcli.engine.recorder import BatchHistory, Checkpointer, Measures, Recorder
from gdcli.engine.refusals import built_in, check_torch, parts_of
from gdcli.engine.sampling import Orders
from gdcli.engine.train import NO_HOOKS, Hooks, LongerRun, Loop, OnLoss, Watch
from gdcli.engine.update import StackedOptimizer, Stepwise
from gdcli.engine.watcher import Watcher
from gdcli.experiment.grid import Cohort, Trial
from gdcli.method import Method
from gdcli.optimizer import Optimizer, Rule
from gdcli.schedule import FeedbackSchedule
from gdcli.schedules.constant import Constant

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from numpy.typing import NDArray

    from gdcli.engine.methods import StackedMethod
    from gdcli.engine.programs.program import Program
    from gdcli.engine.update import Stepper
    from gdcli.problem import Data, Params

    Look: TypeAlias = Callable[[dict[str, NDArray[Any]], dict[str, NDArray[Any]]], None]

WORTH = 16  # a longer run parts no earlier than after this part of the shorter one


def longer_runs(batches: Sequence[TrialBatch]) -> dict[int, tuple[int, ...]]:
    """Return the longer runs of the same trials that batches have, by place, shortest first."""
    budgets = {batch.trials[0].training for batch in batches}
    if len(budgets) == 1:
        return {}
    families: dict[Hashable, list[int]] = {}
    for place, batch in enumerate(batches):
        families.setdefault(tuple(map(_without_budget, batch.trials)), []).append(place)
    found: dict[int, tuple[int, ...]] = {}
    for places in families.values():
        places.sort(key=lambda place: _budget(batches[place].trials[0]))
        found |= {place: tuple(places[i + 1 :]) for i, place in enumerate(places)}
    return {place: after for place, after in found.items() if after}


def _without_budget(trial: Trial) -> Trial:
    return replace(trial, training=replace(trial.training, steps=None, epochs=None))


def _budget(trial: Trial) -> int:
    return trial.training.steps or trial.training.epochs or 0


def shared_steps(trials: Sequence[Trial], horizon: int, longer: int) -> int:
    """Return how many first steps of two horizons are the same; 0 where they are too few."""
    if any(map(_may_know_its_horizon, {trial.optimizer for trial in trials})):
        return 0
    schedules = {trial.schedule for trial in trials}
    schedules |= {schedule for _, schedule in trials[0].training.scheduled}
    ruled = [s for s in schedules if not isinstance(s, Constant | FeedbackSchedule)]
    for step in range(horizon if ruled else 0):
        if any(s.multiplier(step, horizon) != s.multiplier(step, longer) for s in ruled):
            return step if step * WORTH >= horizon else 0
    return horizon


def _may_know_its_horizon(rule: Rule) -> bool:
    """Return whether a rule may step otherwise for another budget; a user's method may."""
    return any(
        getattr(kind, "uses_horizon", False) or not (built_in(kind) or issubclass(kind, Optimizer))
        for kind in parts_of(rule)
    )


def stepper_for(
    program: Program, optimizer: StackedOptimizer, orders: Orders | None
) -> Stepper[Any]:
    """Return the program's stepper; on a GPU single steps become a CUDA graph where they can."""
    stepper = program.stepper(optimizer, orders)
    if program.device.eager or not isinstance(stepper, Stepwise):
        return stepper
    from gdcli.engine.cuda_graph import Graphed

    return Graphed(stepper) if Graphed.fits(program) else stepper


REFERENCE = "reference: autograd on torch, one trial at a time"


def engine_description(program: Program, stepper: Stepper[Any]) -> str:
    """Return how a batch was computed, such as "stacked layers on torch, step by step"."""
    library = {"Torch": "torch"}.get(name := type(program.device).__name__, name)
    read = ", examples read from disk in parts" if program.streamed else ""
    return f"{program.description} on {library}, {stepper.description}{read}"


def check_rules(trials: Sequence[Trial]) -> None:
    """Raise UserError for optimizers of torch, in trials of one cohort, that cannot train it."""
    first = trials[0]
    rules = dict.fromkeys(t.optimizer for t in trials if isinstance(t.optimizer, TorchOptimizer))
    if rules:
        start = starting_point(first.problem, examples_of(first), first.seed)
        shapes = sorted({array.shape for array in start.values()})
        check_torch(rules, first.problem, shapes, precision(first))


@dataclass(frozen=True)
class TrialBatch:
    """Trials of one cohort that are trained and stored together: a unit of work and of memory."""

    index: int
    cohort: str
    trials: tuple[Trial, ...]
    engine: str = "auto"  # or "reference", whose batches are single trials

    @property
    def label(self) -> str:
        """The problem and what the trials share: the name of the batch while it is trained."""
        return f"{name_of(self.trials[0].problem)} {self.cohort}"


def batches_of(cohorts: tuple[Cohort, ...], engine: str = "auto") -> list[TrialBatch]:
    """Cut cohorts into batches, in order; the size of a batch depends on the kind of work alone."""
    batches: list[TrialBatch] = []
    for cohort in cohorts:
        size = 1 if engine == "reference" else batch_limit(cohort.trials[0])
        for first in range(0, len(cohort.trials), size):
            part = cohort.trials[first : first + size]
            batches.append(TrialBatch(len(batches), cohort.name, part, engine))
    return batches


@dataclass(frozen=True)
class BatchHooks:
    """What happens on the way while a batch is trained; None: nothing."""

    # Stores the state now and then, and returns one to continue from; the reference engine, one
    # trial at a time, starts again instead.
    checkpointer: Checkpointer | None = None
    # Called with the lowest loss among the trials, a few times a second at most.
    hear: OnLoss | None = None
    # Given parameters, and what is carried along, such as running statistics, at every recorded
    # point, with a first axis of trials.
    look: Look | None = None
    # Whether trials are followed between recorded points, and their ends looked into.
    watches: bool = True
    # The same trials with larger budgets, each with what keeps the state up to which both agree.
    longer: Sequence[tuple[tuple[Trial, ...], Checkpointer]] = ()


NOTHING = BatchHooks()


def train_batch(
    batch: TrialBatch,
    data: Data,
    device_name: str,
    advance: Callable[[int], None],
    hooks: BatchHooks = NOTHING,
) -> tuple[Plan, BatchHistory]:
    """Train the trials of a batch on a resolved device.

    `advance` is called with the trial-steps that are done.
    """
    keep_memory()
    plan = plan_of(batch.trials[0], data.examples)
    with np.errstate(all="ignore"):  # a diverging trial overflows; that is its result
        if batch.engine == "reference" or alone(batch.trials[0]):
            return plan, _train_alone(batch.trials, data, device_name, advance, hooks.look)
        look = hooks.look and partial(_shown, hooks.look)
        own = Hooks(hooks.checkpointer, look, hooks.hear, watches=hooks.watches)
        loop = loop_for(batch.trials, data, plan, device_name, own)
        loop.longer = _longer(loop, batch.trials, data, hooks.longer)
        curves = loop.run(lambda steps: advance(steps * len(batch.trials)))
    return plan, curves._replace(path=engine_description(loop.program, loop.stepper))


def _longer(
    loop: Loop,
    trials: Sequence[Trial],
    data: Data,
    longer: Sequence[tuple[tuple[Trial, ...], Checkpointer]],
) -> list[LongerRun]:
    """Return the longer runs that part from a loop after some steps, where it can stop there."""
    found, every = [], loop.stepper.checkpoint_every
    for others, checkpointer in longer if every else ():
        plan = plan_of(others[0], data.examples)
        leaves = shared_steps(trials, loop.plan.steps, plan.steps)
        if every and loop.stepper.steps_fused > 1:  # else every step has its own bits
            leaves -= leaves % every
        if leaves:
            stochastic = others[0].method != "gd"
            watcher = Watcher(loop.program, watched(plan, stochastic=stochastic), plan.steps)
            found.append(LongerRun(Watch(watcher, plan), leaves, checkpointer))
    return found


def _shown(look: Look, program: Program, params: Params) -> None:
    look(program.by_trial(params), program.buffers_by_trial())


def _train_alone(
    trials: Sequence[Trial],
    data: Data,
    device: str,
    advance: Callable[[int], None],
    look: Look | None,
) -> BatchHistory:
    """Train one trial by the textbook's loop, for `--engine reference` or torch.optim."""
    from gdcli.engine.reference.textbook import train

    (trial,) = trials
    how = name_of(trial.optimizer).replace(":", ".optim.")
    path = f"{how}, autograd on torch, one trial at a time" if alone(trial) else REFERENCE

    def watch(params: Params, buffers: Params) -> None:
        if look:
            both = params, buffers
            look(*({n: a.cpu().numpy()[None].copy() for n, a in held.items()} for held in both))

    return train(trial, data, device, advance, watch)._replace(path=path)


def _moving(
    trials: Sequence[Trial], program: Program, params: Params, plan: Plan, orders: Orders | None
) -> tuple[StackedOptimizer | StackedMethod, Stepper[Any]]:
    """Return the rule of a cohort, and how its steps are taken."""
    first = trials[0]
    if not isinstance(first.optimizer, Method):
        optimizer = StackedOptimizer(program, trials, params, plan.steps)
        return optimizer, stepper_for(program, optimizer, orders)
    from gdcli.engine.methods import MethodSteps, StackedMethod

    kinds = kinds_of(first.problem, first.training.data_seed)
    method = StackedMethod(program, trials, plan, kinds, full_batch=repeats(first))
    return method, MethodSteps(program, method, orders)


def loop_for(
    trials: Sequence[Trial],
    data: Data,
    plan: Plan,
    device: str,
    hooks: Hooks = NO_HOOKS,
) -> Loop:
    """Return the parts that trials of one cohort are trained with, on a resolved device."""
    first = trials[0]
    place = device_for(device, precision(first), networks=computes_on_torch(first))
    program = program_for(trials, data, place)
    seeds = program.layout.seeds
    starts = [starting_point(first.problem, data, seed) for seed in seeds]
    params = program.start(starts)
    stochastic = first.method != "gd"
    order = first.training.order
    orders = Orders(name_of(first.problem), seeds, plan, order) if stochastic else None
    optimizer, stepper = _moving(trials, program, params, plan, orders)
    recorder = Recorder(program, first.training)
    kinds = first.training.measures
    measures = Measures(kinds, program, params) if kinds else None
    watcher = None
    if hooks.watches:
        watcher = Watcher(program, watched(plan, stochastic=stochastic), plan.steps)
    return Loop(program, params, optimizer, plan, stepper, recorder, measures, watcher, hooks)
