"""A trial of a finished run, trained again for its weights, which runs do not keep.

The curve that it makes on the way is compared with the recorded one: they are its weights only if
that is the same.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gdcli.door import GO_ON, REPAIR
from gdcli.engine.batch import TrialBatch, batches_of, train_batch
from gdcli.engine.estimate import allowance, check_memory, stacks_of
from gdcli.engine.examples import examples_of
from gdcli.engine.isolation import isolated
from gdcli.engine.plan import plan_of
from gdcli.errors import RunError, UserError
from gdcli.experiment.grid import Trial
from gdcli.fields import show
from gdcli.runs.csv_write import Rows
from gdcli.runs.differences import BYTES, Difference, TrialComparison
from gdcli.runs.fingerprint import data_checksum, problem_key
from gdcli.runs.folder import RunFolder, state_of
from gdcli.runs.spec import changed_code
from gdcli.runs.verify import surroundings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from gdcli.runs.options import Progress

    Arrays = dict[str, NDArray[Any]]


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
    plan, curves = train_batch(batch, examples_of(trial), device, advance, look=look)
    rows = Rows(run.experiment.varied, run.experiment.grid.metrics, plan)
    end = int(curves.length[place]) - 1
    if end + 1 < points:  # it ended before the others, and what it held then is gone
        return _of_part(run, replace(batch, trials=(trial,)), trial, device, bar)
    loss = float(curves.values["train_loss"][end, place])
    params, buffers = last
    line = rows.curve(trial, curves, place).encode()
    return _Trained(line, curves.steps[end], loss, params, buffers)
