"""The benchmark of benchmarks/ols by benchopt, and the same grid by gdcli.

benchopt's own benchmark_ols has to be fetched from its site; this one has its form, an objective,
a dataset and a solver, on data that travels with gdcli.
"""

from __future__ import annotations

import csv
import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from benchmarks.agreement import DisagreementError
from benchmarks.command import run
from benchmarks.loaded import Loaded
from benchmarks.whole_process import TOLERANCE, results
from gdcli.engine.examples import examples_of
from gdcli.engine.plan import plan_of
from gdcli.experiment.experiment import Given, read

if TYPE_CHECKING:
    from benchmarks.result import Result

NAME, TITLE = "benchopt", "gradient descent on diabetes: 24 rates, 50 steps, every step recorded"
STEPS, RATES = 50, "log:1e-4:1e-1:24"
FOLDER = Path(__file__).parent / "ols"
OURS = ("-m", "gdcli", "run", "linear-regression", f"--lr={RATES}", f"--epochs={STEPS}")
THEIRS = ("-m", "benchopt", "run", "{out}/ols", f"--max-runs={STEPS}", "--n-repetitions=1")
QUIET = ("--no-plot", "--no-display", "--no-html", "--no-cache", "--output=curves")
Losses = Mapping[tuple[float, int], float]  # by learning rate and step


def cohort() -> Loaded:
    """Return the trials and their examples, for the benchmark's own files."""
    grid = {"lr": RATES, "epochs": STEPS}
    given = Given("linear-regression", {}, grid, {}, (), lambda option: f"--{option}")
    trials = read(given).grid.trials
    data = examples_of(trials[0])
    return Loaded(trials, data, plan_of(trials[0], data.examples))


def contest(repeats: int) -> list[Result]:
    """Return the times of both; raises DisagreementError unless they have the same losses."""
    times: dict[str, list[float]] = {"gdcli": [], "benchopt": []}
    for _ in range(repeats):
        with TemporaryDirectory() as folder:
            times["gdcli"].append(run((*OURS, "--output={out}"), Path(folder)).seconds)
            ours = _ours(next(Path(folder).glob("*/curves.csv")))
        with TemporaryDirectory() as folder:
            shutil.copytree(FOLDER, Path(folder) / "ols")  # benchopt writes beside its files
            times["benchopt"].append(run((*THEIRS, *QUIET), Path(folder)).seconds)
            theirs = _theirs(Path(folder) / "ols" / "outputs" / "curves.parquet")
        _compare(ours, theirs)
    return results("whole", TITLE, times)


def _ours(file: Path) -> Losses:
    with file.open(encoding="utf-8") as stream:
        rows = csv.DictReader(stream)
        return {(float(r["lr"]), int(r["step"])): float(r["train_loss"]) for r in rows}


def _theirs(file: Path) -> Losses:
    import pandas as pd

    table = pd.read_parquet(file)[["p_solver_lr", "stop_val", "objective_value"]]
    return {(rate, step): loss for rate, step, loss in table.itertuples(index=False)}


def _compare(ours: Losses, theirs: Losses) -> None:
    if ours.keys() != theirs.keys():
        raise DisagreementError(f"benchopt has {len(theirs)} points, gdcli {len(ours)}")
    apart = max(abs(theirs[point] / loss - 1) for point, loss in ours.items())
    if not apart <= TOLERANCE:
        raise DisagreementError(f"benchopt's losses are {apart:.1e} from gdcli's")
