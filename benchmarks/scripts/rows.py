"""What both scripts share: the grid of a command line, and the lines of its CSV.

`python -m benchmarks.scripts.NAME FILE.csv PROBLEM EPOCHS RATES SEEDS` writes the curves that
`gdcli run PROBLEM` writes for GD, SGD and mini-batches of 32.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.loaded import Loaded
from gdcli.catalog.catalog import name_of
from gdcli.engine.examples import examples_of
from gdcli.engine.plan import plan_of
from gdcli.experiment.experiment import Given, read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from gdcli.experiment.grid import Trial

METHODS = "gd,sgd,minibatch"
OPTIONS: Mapping[str, Mapping[str, object]] = {"softmax-regression": {"l2": 0.0}}


def asked() -> tuple[Path, list[Loaded]]:
    """Return the file to write and, method by method, what is to be trained."""
    file, problem, epochs, rates, seeds = sys.argv[1:]
    grid = {"method": METHODS, "epochs": epochs, "lr": rates, "seed": seeds}
    given = Given(problem, OPTIONS.get(problem, {}), grid, {}, (), lambda option: f"--{option}")
    return Path(file), [_loaded(cohort.trials) for cohort in read(given).grid.cohorts]


def _loaded(trials: tuple[Trial, ...]) -> Loaded:
    data = examples_of(trials[0])
    return Loaded(trials, data, plan_of(trials[0], data.examples))


def write(file: Path, cohorts: list[Loaded], curves: Callable[[Loaded], Iterable[str]]) -> None:
    """Write the lines of every cohort's curves under a header."""
    head = "trial,method,batch_size,optimizer,lr,schedule,seed,epoch,step,examples"
    measures = ("train_loss", "grad_norm", "test_loss", *cohorts[0].first.problem.curve_columns)
    with file.open("w", encoding="utf-8") as stream:
        stream.write(",".join((head, *measures)) + "\n")
        for loaded in cohorts:
            stream.writelines(curves(loaded))


def line(loaded: Loaded, trial: Trial, epoch: int, measures: Iterable[float]) -> str:
    """Return a recorded point of a trial."""
    plan = loaded.plan
    step = epoch * plan.steps_per_epoch
    settings = (trial.id, trial.method, plan.batch_size, name_of(trial.optimizer), trial.lr)
    place = (name_of(trial.schedule), trial.seed, epoch, step, plan.examples_at(step))
    return ",".join(map(str, (*settings, *place, *measures))) + "\n"
