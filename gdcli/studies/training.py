"""Trials that are trained in memory, and their parameters as one vector."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from gdcli.engine.batch import TrialBatch, batches_of, check_rules, loop_for, train_batch
from gdcli.engine.device import keep_memory, resolve
from gdcli.engine.estimate import allowance, check_memory, stacks_of
from gdcli.engine.examples import examples_of, notes_of
from gdcli.engine.families.find import check_trial, needs_torch, not_stacked
from gdcli.engine.isolation import isolated
from gdcli.engine.plan import Plan, plan_of
from gdcli.engine.recorder import DIVERGED
from gdcli.engine.train import Hooks
from gdcli.errors import RunError
from gdcli.experiment.grid import Trial, cohorts_of

if TYPE_CHECKING:
    from gdcli.engine.programs.program import Program
    from gdcli.engine.recorder import BatchHistory
    from gdcli.engine.train import OnRecord
    from gdcli.problem import Data
    from gdcli.runs.options import Progress
    from gdcli.studies.options import Compute


def flat(params: Mapping[str, NDArray[np.floating]]) -> NDArray[np.floating]:
    """Return arrays (trials, ...) by name as one array (trials, parameters)."""
    return np.concatenate([array.reshape(len(array), -1) for array in params.values()], axis=1)


@dataclass(frozen=True)
class Layout:
    """Where each parameter lies in the vector: their names and shapes, in order."""

    shapes: Mapping[str, tuple[int, ...]]

    @property
    def size(self) -> int:
        """The number of numbers."""
        return sum(map(math.prod, self.shapes.values()))

    def names(self) -> list[str]:
        """Return what each number is called: "bias", "weight[0,1]"."""
        return [
            name + (f"[{','.join(map(str, place))}]" if math.prod(shape) > 1 else "")
            for name, shape in self.shapes.items()
            for place in np.ndindex(*shape)
        ]

    def split(self, vector: NDArray[np.floating]) -> dict[str, NDArray[Any]]:
        """Return the parameters by name, as views of the vector."""
        ends = np.cumsum([math.prod(shape) for shape in self.shapes.values()])
        parts = np.split(vector, ends[:-1])
        return {
            name: part.reshape(shape)
            for (name, shape), part in zip(self.shapes.items(), parts, strict=True)
        }


def layout_of(start: Mapping[str, NDArray[np.floating]]) -> Layout:
    """Return the layout of a starting point."""
    return Layout({name: array.shape for name, array in start.items()})


T = TypeVar("T")
MakeBar: TypeAlias = "Callable[[], Progress]"  # one for every stretch of work
Buffers: TypeAlias = "dict[str, NDArray[Any]]"  # running statistics, say, by name
Advance: TypeAlias = Callable[[int], None]  # told of the steps that are done


@dataclass(frozen=True)
class Trained:
    """One trial's recorded points, up to the one at which it ended."""

    steps: tuple[int, ...]
    losses: tuple[float, ...]
    diverged: bool
    params: NDArray[np.floating] | None = None  # (points, parameters), where they were kept
    buffers: tuple[Buffers, ...] = ()  # of its layers at these points


@dataclass(frozen=True)
class Results:
    """What became of some trials: those that raised an exception are left out, and named."""

    trained: dict[Trial, Trained]
    failed: dict[Trial, str]  # what each raised, in one line


def train(
    trials: Iterable[Trial],
    machine: Compute,
    make_bar: MakeBar,
    *,
    keep: bool = False,
    told: bool = False,
) -> Results:
    """Train trials as the batches of a run would be; `keep` their parameters at every point.

    `told`: it was said before that they cannot be stacked.
    Raises UserError before anything is computed: for a batch larger than the data, a device that
    is not there, and memory that does not suffice.
    """

    def work(batch: TrialBatch, device: str, advance: Advance) -> dict[Trial, Trained]:
        return _train(batch, device, advance, keep=keep)

    found, failed = in_batches(trials, machine, make_bar, work, told=told)
    return Results({trial: trained for part in found for trial, trained in part.items()}, failed)


def in_batches(
    trials: Iterable[Trial],
    machine: Compute,
    make_bar: MakeBar,
    work: Callable[[TrialBatch, str, Advance], T],
    *,
    told: bool = False,
) -> tuple[list[T], dict[Trial, str]]:
    """Return what `work` makes of every batch of the trials, on the named device.

    Of a batch with trials that raise, `work` is given the parts without them; what they raise is
    returned beside, by trial. Raises UserError as `train` does.
    """
    cohorts = cohorts_of(trials)
    batches = batches_of(cohorts)
    device = device_of(batches[0].trials[0], machine)
    steps = [len(batch.trials) * _plan(batch).steps for batch in batches]
    for batch in batches:
        check_trial(batch.trials[0])
    for cohort in cohorts:
        check_rules(cohort.trials)
    check_memory(batches, machine.memory, device)
    bar = make_bar()
    firsts = [batch.trials[0] for batch in batches]
    notes = (*notes_of(firsts), *not_stacked(firsts))
    for said in () if told else notes:
        bar.note(said)
    bar.start(sum(steps))
    results: list[T] = []
    raised: dict[Trial, str] = {}

    def work_on(part: TrialBatch, whole: TrialBatch) -> None:
        heard = partial(bar.advance, whole.label) if part is whole else _unheard
        results.append(work(part, device, heard))

    try:
        for batch in batches:
            room = allowance(machine.memory, device)
            for stack in stacks_of(batch, examples_of(batch.trials[0]), room, device):
                isolated(stack, device, partial(work_on, whole=stack), raised.__setitem__)
    finally:
        bar.stop()
    return results, raised


def _unheard(steps: int) -> None:
    """Count no steps: the batch that was cut has counted some of them."""


def none_trained(failed: Mapping[Trial, str]) -> RunError:
    """Return the error of a study all of whose trials raised an exception."""
    return RunError(f"no trial could be trained: {next(iter(failed.values()))}")


def device_of(trial: Trial, machine: Compute) -> str:
    """Return the name of the device; raises UserError for one that is not there."""
    return resolve(machine.device, networks=needs_torch(trial.problem))


def _plan(batch: TrialBatch) -> Plan:
    trial = batch.trials[0]
    return plan_of(trial, examples_of(trial).examples)


def _train(batch: TrialBatch, device: str, advance: Advance, *, keep: bool) -> dict[Trial, Trained]:
    kept: list[NDArray[np.floating]] = []
    recorded: list[Buffers] = []

    def look(params: Buffers, buffers: Buffers) -> None:
        kept.append(flat(params))
        recorded.append(buffers)

    data, looks = examples_of(batch.trials[0]), look if keep else None
    _, curves = train_batch(batch, data, device, advance, look=looks, watches=False)
    losses = curves.values["train_loss"]
    return {
        trial: Trained(
            steps=tuple(curves.steps[:count]),
            losses=tuple(losses[:count, i].tolist()),
            diverged=bool(curves.ended[i] == DIVERGED),
            params=np.stack([points[i] for points in kept[:count]]) if keep else None,
            buffers=tuple({n: a[i] for n, a in held.items()} for held in recorded[:count]),
        )
        for i, (trial, count) in enumerate(zip(batch.trials, curves.length.tolist(), strict=True))
    }


def watched(
    batch: TrialBatch, data: Data, device: str, advance: Advance, watch: OnRecord | None
) -> tuple[Program, BatchHistory]:
    """Train a batch on these data, watched; return its program and its curves."""
    trials = batch.trials
    keep_memory()
    with np.errstate(all="ignore"):  # a diverging trial overflows; that is its result
        plan, hooks = plan_of(trials[0], data.examples), Hooks(on_record=watch)
        loop = loop_for(trials, data, plan, device, hooks)
        return loop.program, loop.run(lambda steps: advance(steps * len(trials)))
