"""How a study trains: trials in memory, and a trial of a finished run again for its weights.

Runs keep no weights. The curve that a trial makes when it is trained again is compared with the
recorded one: they are its weights only if that is the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from gdcli.door import GO_ON, REPAIR
from gdcli.engine.batch import (
    BatchHooks,
    TrialBatch,
    batches_of,
    check_rules,
    loop_for,
    train_batch,
)
from gdcli.engine.device import keep_memory, resolve
from gdcli.engine.estimate import allowance, check_memory, stacks_of
from gdcli.engine.examples import examples_of, notes_of
from gdcli.engine.families.family import check_trial, needs_torch, not_stacked
from gdcli.engine.plan import Plan, plan_of
from gdcli.engine.recorder import DIVERGED
from gdcli.engine.train import Hooks
from gdcli.errors import RunError, UserError
from gdcli.experiment.grid import Trial, cohorts_of
from gdcli.fields import show
from gdcli.runs.csv_write import Rows
from gdcli.runs.differences import BYTES, Difference, TrialComparison
from gdcli.runs.fingerprint import data_checksum, problem_key
from gdcli.runs.folder import RunFolder, state_of
from gdcli.runs.spec import changed_code
from gdcli.runs.verify import surroundings
from gdcli.runs.work import isolated

if TYPE_CHECKING:
    from pathlib import Path

    from gdcli.engine.programs.program import Program
    from gdcli.engine.recorder import BatchHistory
    from gdcli.engine.train import OnRecord
    from gdcli.problem import Data
    from gdcli.runs.options import Progress
    from gdcli.studies.options import Compute

    Arrays = dict[str, NDArray[Any]]


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
    _, curves = train_batch(batch, data, device, advance, BatchHooks(look=looks, watches=False))
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


@dataclass(frozen=True)
class Weights:
    """What a trial came to."""

    trial: Trial
    step: int  # after which they are so
    loss: float  # on all training examples
    params: Arrays  # by the names that the module or model has for them
    buffers: Arrays  # such as running statistics
    how: str  # how the curve was found to be the recorded one, in words


def trained_again(
    folder: Path,
    trial: str,
    make_bar: Callable[[], Progress],
    *,
    trust: bool,
    check: Callable[[Trial], None] = lambda _: None,
) -> Weights:
    """Return the weights of a trial after its last step.

    `check` is asked about the trial before it is trained. Code that the folder names is run only
    if `trust` is. Raises UserError for a run that is not finished, a trial that failed or
    diverged, and code or data that are not those of the run; RunError where the curve is not
    the recorded one.
    """
    if not (folder / "manifest.json").exists():
        raise UserError(show(str(folder)), state_of(folder).unfinished, GO_ON)
    run = RunFolder(folder, trust=trust)
    _check_ended(run, trial)
    chosen = next((t for t in run.experiment.grid.trials if t.id == trial), None)
    if chosen is None:
        what = f"the tables hold trial {show(trial)}, and the experiment does not"
        raise UserError(str(folder), what, REPAIR)
    device, changes = surroundings(run)
    _check_same(run, chosen, changes)
    check(chosen)
    found = _trained(run, chosen, device, make_bar)
    exact = device == "cpu" and not changes
    same = TrialComparison(run, exact=exact).curve(chosen, found.curve)
    if isinstance(same, Difference):
        raise _another(same, changes)
    how = "its curve is the recorded one, byte for byte"
    if same != BYTES:
        how = f"its losses are the recorded ones {same}"
    return Weights(chosen, found.step, found.loss, found.params, found.buffers, how)


class _Trained(NamedTuple):
    """A trial as it was trained again."""

    curve: bytes  # its lines of curves.csv
    step: int
    loss: float
    params: Arrays
    buffers: Arrays


def _another(difference: Difference, changes: list[str]) -> RunError:
    """Return the error for a trial whose curve is not the recorded one."""
    if not changes:
        what = f"trained again, its curve is not the recorded one: {difference}"
        return RunError(f"{what}; gdcli verify says whether the run can be trusted")
    # What is another here comes first: a line has 200 characters at most, and its end is cut.
    what = f"trained again here ({'; '.join(changes)}), its losses are not the recorded ones"
    fix = "take the weights on the machine and with the versions of the run"
    return RunError(f"{what}: {difference}; {fix}")


def _check_ended(run: RunFolder, trial: str) -> None:
    """Raise UserError unless the run has the trial, and it was trained to its end."""
    held = next((one for one in run.trials.trials if one.id == trial), None)
    if held is None:
        what = f"the run holds no trial {show(trial)}"
        raise UserError("--trial", what, "give an id of summary.csv's first column")
    if held.status != "finished":
        what = f"trial {trial} {held.status}: it has no trained weights"
        raise UserError("--trial", what, "choose one that finished")


def _check_same(run: RunFolder, trial: Trial, changes: list[str]) -> None:
    """Raise UserError where the code or the data are not those of the run."""
    if changed := changed_code(run.experiment, run.manifest):
        raise UserError(str(run.path), changed, "bring back the file as it was")
    # Elsewhere the means that the features are scaled by may differ in the last digit.
    recorded = run.manifest.get("data", {}).get(problem_key(trial.problem))
    if not changes and data_checksum(trial) != recorded:
        what = "the data are not those that the run was trained on"
        raise UserError(str(run.path), what, "bring back the file as it was")


def _trained(
    run: RunFolder, trial: Trial, device: str, make_bar: Callable[[], Progress]
) -> _Trained:
    """Train a trial, on a GPU beside those that were beside it: its bits depend on them there."""
    data = examples_of(trial)
    batch = TrialBatch(0, "alone", (trial,), run.engine)
    check_memory([batch], None, device)
    if device != "cpu":
        batches = batches_of(run.experiment.grid.cohorts, run.engine)
        whole = next(one for one in batches if trial in one.trials)
        stacks = stacks_of(whole, data, allowance(None, device))
        batch = next(one for one in stacks if trial in one.trials)
    plan, bar = plan_of(trial, data.examples), make_bar()

    def train(part: TrialBatch) -> _Trained | str | None:
        return _of_part(run, part, trial, device, bar) if trial in part.trials else None

    bar.start(len(batch.trials) * plan.steps)
    try:
        parts = isolated(batch, device, train, lambda own, said: said if own == trial else None)
    finally:
        bar.stop()
    found = next(part for part in parts if part is not None)
    if isinstance(found, str):
        raise RunError(f"trained again, the trial raised {found}")
    return found


def _of_part(
    run: RunFolder, batch: TrialBatch, trial: Trial, device: str, bar: Progress
) -> _Trained:
    """Train a batch; return what became of one trial."""
    place, points = batch.trials.index(trial), 0
    last: tuple[Arrays, ...] = ()

    def look(*held: Arrays) -> None:
        nonlocal last, points
        last = tuple({name: np.array(a[place]) for name, a in arrays.items()} for arrays in held)
        points += 1

    advance = partial(bar.advance, batch.label)
    plan, curves = train_batch(batch, examples_of(trial), device, advance, BatchHooks(look=look))
    rows = Rows(run.experiment.varied, run.experiment.grid.metrics, plan)
    end = int(curves.length[place]) - 1
    if end + 1 < points:  # it ended before the others, and what it held then is gone
        return _of_part(run, replace(batch, trials=(trial,)), trial, device, bar)
    loss = float(curves.values["train_loss"][end, place])
    params, buffers = last
    line = rows.curve(trial, curves, place).encode()
    return _Trained(line, curves.steps[end], loss, params, buffers)
