"""The fixed batches that a grid is trained in, and the training of one.

Which way a batch was computed, in words for the manifest.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from gdcli.catalog.catalog import name_of
from gdcli.engine.device import device_for, keep_memory
from gdcli.engine.families import alone, batch_limit, on_torch, precision, program_for
from gdcli.engine.hessian import Sharpness
from gdcli.engine.initial import starting_point
from gdcli.engine.plan import Plan, plan_of, turn_of
from gdcli.engine.recorder import Curves, Recorder
from gdcli.engine.sampling import Orders
from gdcli.engine.steps.choose import stepper_for
from gdcli.engine.train import Loop
from gdcli.engine.update import Rule
from gdcli.engine.watched import watched
from gdcli.engine.watcher import Watcher
from gdcli.experiment.grid import Cohort, Trial

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from gdcli.engine.programs.program import Program
    from gdcli.engine.recorder import Keeper
    from gdcli.engine.steps.stepper import Stepper
    from gdcli.engine.train import Hear
    from gdcli.problem import Data, Params

    Look: TypeAlias = Callable[[dict[str, NDArray[Any]], dict[str, NDArray[Any]]], None]

REFERENCE = "reference: autograd on torch, one trial at a time"


def path_of(program: Program, stepper: Stepper[Any]) -> str:
    """Return what took the steps of a batch, such as "stacked layers on torch, step by step"."""
    library = {"Torch": "torch"}.get(name := type(program.device).__name__, name)
    read = ", examples read from disk in parts" if program.streamed else ""
    return f"{program.words} on {library}, {stepper.words}{read}"


@dataclass(frozen=True)
class TrialBatch:
    """Trials of one cohort that are trained together: the unit of work, memory and storage."""

    index: int
    cohort: str
    trials: tuple[Trial, ...]
    engine: str = "auto"  # or "reference", whose batches are single trials

    @property
    def label(self) -> str:
        """What names it while it is trained: the problem, and what its trials share."""
        return f"{name_of(self.trials[0].problem)} {self.cohort}"


def batches_of(cohorts: tuple[Cohort, ...], engine: str = "auto") -> list[TrialBatch]:
    """Cut cohorts into batches: in order, of a size that depends on the kind of work alone."""
    batches: list[TrialBatch] = []
    for cohort in cohorts:
        size = 1 if engine == "reference" else batch_limit(cohort.trials[0])
        for first in range(0, len(cohort.trials), size):
            part = cohort.trials[first : first + size]
            batches.append(TrialBatch(len(batches), cohort.name, part, engine))
    return batches


def train_batch(  # noqa: PLR0913, PLR0917 -- what is told, and kept, on the way
    batch: TrialBatch,
    data: Data,
    device_name: str,
    advance: Callable[[int], None],
    keeper: Keeper | None = None,
    hear: Hear | None = None,
    look: Look | None = None,
    *,
    watches: bool = True,
) -> tuple[Plan, Curves]:
    """Train the trials of a batch on a resolved device; `advance` is told of trial-steps done.

    `keeper`, if given, is offered the state now and then, and asked for one to go on from; the
    reference engine, one trial at a time, starts again instead. `hear` is told of the lowest loss
    among the trials, a few times a second at most; `look` is given the parameters and what is
    carried along, such as running statistics, at every recorded point, with a first axis of trials.
    `watches`: whether to follow the trials between recorded points, and to look into their ends.
    """
    keep_memory()
    plan = plan_of(batch.trials[0], data.examples)
    with np.errstate(all="ignore"):  # a diverging trial overflows; that is its result
        if batch.engine == "reference" or alone(batch.trials[0]):
            return plan, _train_alone(batch.trials, data, device_name, advance, look)
        loop = loop_for(batch.trials, data, plan, device_name)
        loop.keeper, loop.hear = keeper, hear
        loop.watch = look and partial(_shown, look)
        if watches:
            which = watched(plan, stochastic=batch.trials[0].method != "gd")
            loop.watcher = Watcher(loop.program, which, plan.steps)
        curves = loop.run(lambda steps: advance(steps * len(batch.trials)))
    return plan, curves._replace(path=path_of(loop.program, loop.stepper))


def _shown(look: Look, program: Program, params: Params) -> None:
    look(program.unstacked(params), program.held())


def _train_alone(
    trials: Sequence[Trial],
    data: Data,
    device: str,
    advance: Callable[[int], None],
    look: Look | None,
) -> Curves:
    """Train a batch of one by the textbook's loop: as was asked, or for an optimizer of torch's."""
    from gdcli.engine.reference.textbook import train

    (trial,) = trials
    how = name_of(trial.optimizer).replace(":", ".optim.")
    path = f"{how}, autograd on torch, one trial at a time" if alone(trial) else REFERENCE

    def watch(params: Params, carried: Params) -> None:
        if look:
            both = params, carried
            look(*({n: a.cpu().numpy()[None].copy() for n, a in held.items()} for held in both))

    return train(trial, data, device, advance, watch)._replace(path=path)


def loop_for(trials: Sequence[Trial], data: Data, plan: Plan, device: str) -> Loop:
    """Return the parts that trials of one cohort are trained with, on a resolved device."""
    first = trials[0]
    place = device_for(device, precision(first), networks=on_torch(first))
    program = program_for(trials, data, place)
    program.turn = turn_of(first.problem, plan)
    seeds = program.lanes.seeds
    starts = [starting_point(first.problem, data, seed) for seed in seeds]
    params = program.start(starts)
    rule = Rule(program, trials, params, plan.steps)
    stochastic = first.method != "gd"
    order = first.training.order
    orders = Orders(name_of(first.problem), seeds, plan, order) if stochastic else None
    stepper = stepper_for(program, rule, orders)
    recorder = Recorder(program, first.training)
    loop = Loop(program, params, rule, plan, stepper, recorder, starts=starts)
    if first.training.measure:
        loop.sharpness = Sharpness(program, starts)
    return loop
