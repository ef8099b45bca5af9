"""What is known of the suite's trials, and what becomes of each in ten times as many steps."""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass, replace
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gdcli.analysis.diagnoses import Diagnoses
from gdcli.analysis.theory import RunConstants
from gdcli.catalog.catalog import name_of
from gdcli.engine.batch import loop_for
from gdcli.engine.examples import examples_of
from gdcli.engine.plan import Plan, plan_of
from gdcli.engine.recorder import DIVERGED, BatchHistory
from gdcli.engine.train import Hooks
from gdcli.executors.execute import execute
from gdcli.runs import manifest
from gdcli.runs.options import RunOptions, Silent
from gdcli.runs.trials import read_trials
from gdcli.schedule import Schedule
from tests.grids import experiment
from tests.words.trials import Group, groups
from tests.words.truth import Row, near_gap

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gdcli.analysis.diagnosis.evidence import Evidence
    from gdcli.experiment.experiment import Experiment
    from gdcli.experiment.grid import Trial

LONGER = 10
TAIL = 64  # last steps of full-batch descent whose swing is looked at
DENSE = 250  # parameters of a Hessian that is computed whole
RECORDS = ("epoch", "log", "7")  # what is recorded must not matter


@dataclass(frozen=True)
class Prolonged(Schedule):
    """A schedule that keeps the multiplier with which a shorter run of it ends."""

    schedule: Schedule
    horizon: int

    def multiplier(self, step: int, horizon: int) -> float:
        """Return the multiplier of the shorter run, or its last."""
        return self.schedule.multiplier(min(step, self.horizon - 1), self.horizon)


def rows() -> Iterator[Row]:
    """Yield what is stored of each trial of the suite."""
    for place, group in enumerate(groups()):
        for budget in group.budgets:
            yield from rows_of(group, budget, RECORDS[place % len(RECORDS)])


def rows_of(group: Group, budget: int, record: str) -> Iterator[Row]:
    """Yield the rows of a group's trials, recorded in some way, but of those at their target."""
    grid = {**group.grid, "epochs": budget, "record": record}
    made = experiment(group.problem, group.options, **grid)
    known = evidence_of(made)
    for cohort in made.grid.cohorts:
        data = examples_of(cohort.trials[0])
        plan = plan_of(cohort.trials[0], data.examples)
        curves, ends = _trained(cohort.trials, plan)
        for i, trial in enumerate(cohort.trials):
            found = known[trial.id]
            if found.observed.stopped_by:
                continue
            truth = _truth(curves, i, plan, found)
            truth |= {name: float(values[i]) for name, values in ends.items()}
            yield {
                "id": trial.id,
                "what": _what(group, trial, plan),
                "record": record,
                "added": group.added,
                **{part: _bare(asdict(getattr(found, part))) for part in found.__annotations__},
                "truth": _bare(truth),
            }


def evidence_of(made: Experiment) -> dict[str, Evidence]:
    """Run an experiment as the command line does; return what is known of its trials, by id."""
    with tempfile.TemporaryDirectory() as folder:
        done = execute(made, RunOptions(Path(folder), device="cpu"), Silent())
        run = read_trials(done.folder)
        diagnoses = Diagnoses(run, RunConstants(manifest.read(done.folder)))
        return {trial.id: diagnoses.evidence(trial) for trial in run.trials}


def _bare(values: dict[str, Any]) -> dict[str, Any]:
    """Return what is known alone."""
    return {
        name: value
        for name, value in values.items()
        if value is not None and not (isinstance(value, float) and isnan(value))
    }


def _trained(trials: tuple[Trial, ...], short: Plan) -> tuple[BatchHistory, dict[str, np.ndarray]]:
    """Train ten times as long; return the curves, and what is measured at the shorter end."""
    longer = tuple(_prolonged(trial, short.steps) for trial in trials)
    data = examples_of(trials[0])
    plan = plan_of(longer[0], data.examples)
    assert plan.steps == LONGER * short.steps
    ends: dict[str, np.ndarray] = {}
    points = iter(plan.points())

    def watch(program: Any, params: Any) -> None:
        if next(points) == short.steps:
            ends.update(_curvatures(program, params))

    with np.errstate(all="ignore"):
        loop = loop_for(longer, data, plan, "cpu", Hooks(on_record=watch))
        curves = loop.run(lambda _: None)
    layout = loop.program.layout
    return curves, {name: layout.gather(values[None])[0] for name, values in ends.items()}


def _prolonged(trial: Trial, horizon: int) -> Trial:
    epochs = LONGER * (trial.training.epochs or 1)
    record = "step" if trial.method == "gd" else "epoch"
    training = replace(trial.training, epochs=epochs, record=record, target_loss=None)
    return replace(trial, training=training, schedule=Prolonged(trial.schedule, horizon))


def _curvatures(program: Any, params: Any) -> dict[str, np.ndarray]:
    """Return the ends of the Hessian's eigenvalues, nan where it is too large."""
    start = program.flatten(params)
    size = start.shape[-1]
    lowest = np.full(start.shape[:-1], np.nan)
    highest = lowest.copy()
    if size <= DENSE:
        columns = []
        for i in range(size):
            unit = np.zeros(start.shape)
            unit[..., i] = 1
            along = program.unflatten(_like(start, unit), params)
            product = program.hessian_product(params, along)
            columns.append(np.asarray(program.flatten(product), np.float64))
        hessian = np.stack(columns, -1)
        sound = np.isfinite(hessian).all((-1, -2))
        values = np.linalg.eigvalsh((hessian + hessian.swapaxes(-1, -2))[sound] / 2)
        lowest[sound], highest[sound] = values[..., 0], values[..., -1]
    return {"curvature_lowest": lowest, "curvature_highest": highest}


def _like(array: Any, values: np.ndarray) -> Any:
    """Return values as the library and precision of an array have them."""
    if isinstance(array, np.ndarray):
        return values.astype(array.dtype)
    import torch

    return torch.tensor(values, dtype=array.dtype)


def _truth(curves: BatchHistory, i: int, plan: Plan, known: Evidence) -> dict[str, Any]:
    """Return what becomes of a trial."""
    steps = np.asarray(curves.steps[: int(curves.length[i])])
    values = {name: column[: len(steps), i] for name, column in curves.values.items()}
    losses, norms = (values[n].astype(np.float64) for n in ("train_loss", "grad_norm"))
    horizon, far = plan.steps, LONGER * plan.steps
    here = steps <= horizon
    found: dict[str, Any] = {
        "diverged_at": int(steps[-1]) if curves.ended[i] == DIVERGED else None,
    }
    if steps[-1] < horizon:
        return found
    noisy = known.descent.method != "gd"
    until, late = losses[here], here & (steps > horizon * (7 / 8 if noisy else 15 / 16))
    found["lowest"] = _lowest(losses[~here], max(1, int(here.sum()) // 16))
    half = losses[here & (steps > horizon / 2)]
    found["now_lowest"] = _lowest(half, max(1, len(half) // 4))
    count = min(TAIL, horizon // 4)
    found |= {
        "last": float(until[-1]),
        "norm": float(norms[here][-1]),
        "norm_largest": float(np.nanmax(norms[here])),
        **_level("now", losses[late], until[-count:], losses[here & (steps > horizon * 3 / 4)]),
    }
    if "test_loss" in values:
        tests = values["test_loss"][here & (steps > 0)]
        parts = np.array_split(tests, min(64, len(tests)))
        found["test_low"] = float(min(part.mean() for part in parts))
        found["test_late"] = float(values["test_loss"][late].mean())
    for name, goal in _goals(known, float(losses[0]), found["last"]).items():
        hit = np.flatnonzero((losses <= goal) & ~here)
        found[f"reached_{name}"] = int(steps[hit[0]]) if len(hit) else None
    if steps[-1] == far:
        end = losses[steps > far - horizon * 10 / 16]
        found |= {"end": float(losses[-1]), "norm_end": float(norms[-1])}
        found |= _level("later", end, losses[-count:], end)
    return found


def _lowest(values: np.ndarray, size: int) -> float | None:
    """Return the lowest mean of so many values that follow one another; None: there are fewer."""
    parts = [
        values[place : place + size].mean() for place in range(0, len(values) - size + 1, size)
    ]
    return float(np.nanmin(parts)) if parts else None


def _level(name: str, values: np.ndarray, tail: np.ndarray, more: np.ndarray) -> dict[str, float]:
    """Return a level, its standard error by `more` values, and how the last steps swing."""
    return {
        name: float(values.mean()),
        f"{name}_error": _error(values, more),
        f"{name}_swing": float(tail.max() - tail.min()) if len(tail) else 0.0,
        f"{name}_rises": int((np.diff(tail) > 0).sum()),
    }


def _goals(known: Evidence, start: float, last: float) -> dict[str, float]:
    """Return the losses that a forecast may be to."""
    least, target = known.known.minimum, known.descent.target_loss
    goals = {} if target is None else {"target": target}
    return goals if least is None else {**goals, "near": least + near_gap(least, start - last)}


def _error(values: np.ndarray, more: np.ndarray) -> float:
    """Return the standard error of a mean: of batches of more values, around a straight line."""
    if len(more) < 4:
        return 0.0
    places = np.arange(len(more))
    rest = more - np.polyval(np.polyfit(places, more, 1), places)
    parts = [part.mean() for part in np.array_split(rest, min(8, len(rest) // 2))]
    share = len(values) / len(more)
    return float(np.std(parts, ddof=1) / np.sqrt(max(1.0, len(parts) * share)))


def _what(group: Group, trial: Trial, plan: Plan) -> str:
    """Return a trial in a few words."""
    options = " ".join(f"{k}={str(v).rpartition('/')[2]}" for k, v in group.options.items())
    own = {"wd": trial.optimizer.weight_decay, "clip": trial.optimizer.clip_norm}
    own |= {"target": trial.training.target_loss}
    words = [name_of(trial.problem), options, trial.method, name_of(trial.optimizer)]
    words += [f"{name}={value}" for name, value in own.items() if value]
    schedule = name_of(trial.schedule)
    words += [schedule] if schedule != "constant" else []
    words += [trial.training.order] if trial.method != "gd" else []
    words += [f"lr={trial.lr:.4g} seed={trial.seed} steps={plan.steps}"]
    return " ".join(word for word in words if word)
