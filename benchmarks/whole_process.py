"""Whole commands: a grid from start-up to its CSV, by gdcli and by scripts that do the same."""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from benchmarks.agreement import DisagreementError
from benchmarks.command import run, seconds
from benchmarks.result import Result, spread

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TOLERANCE = 1e-9  # of the larger of a loss and a millionth of its start
RATES, ONE_RATE = "log:1e-4:1e-1:8", "1e-3"
LOOPS = 2  # repeats of the tutorial's script, of which each takes as long as all of the others


@dataclass(frozen=True)
class Grid:
    """GD, SGD and mini-batches with 8 learning rates and some seeds."""

    name: str
    title: str
    problem: str
    epochs: int
    seeds: int
    limit: float | None  # seconds that gdcli may take
    options: tuple[str, ...] = ()

    @property
    def trials(self) -> int:
        """How many trials there are."""
        return 3 * 8 * self.seeds

    def ours(self) -> list[str]:
        """Return the arguments of gdcli."""
        return [
            *("-m", "gdcli", "run", self.problem, *self.options, "--output={out}", "--name=grid"),
            *("--method=gd,sgd,minibatch", f"--lr={RATES}", f"--seed=0:{self.seeds - 1}"),
            f"--epochs={self.epochs}",
        ]

    def theirs(self, script: str, rates: str, seeds: int) -> list[str]:
        """Return the arguments of a script."""
        asked = (self.problem, str(self.epochs), rates, f"0:{seeds - 1}")
        return ["-m", f"benchmarks.scripts.{script}", "{out}/curves.csv", *asked]


GRIDS: tuple[Grid, ...] = (
    Grid(
        name="diabetes-120",
        title="diabetes: 3 methods x 8 rates x 5 seeds, 50 epochs",
        problem="linear-regression",
        epochs=50,
        seeds=5,
        limit=0.4,
    ),
    Grid(
        name="digits-72",
        title="softmax on digits: 3 methods x 8 rates x 3 seeds, 10 epochs",
        problem="softmax-regression",
        epochs=10,
        seeds=3,
        limit=1.2,
        options=("--l2=0",),
    ),
)
SMALL = (
    replace(
        GRIDS[0],
        title="diabetes: 3 methods x 8 rates x 5 seeds, 5 epochs",
        epochs=5,
        limit=None,
    ),
)


def contest(grid: Grid, repeats: int) -> list[Result]:
    """Return the times of gdcli, of a script in JAX, and of a tutorial's script.

    The tutorial's time is that of a grid of 3 trials and what 3 more add, scaled to all trials.
    Raises DisagreementError unless all of them wrote the same losses.
    """
    jax = grid.theirs("jax_grid", RATES, grid.seeds)
    three, six = (grid.theirs("tutorial_grid", ONE_RATE, seeds) for seeds in (1, 2))
    one_of_each = grid.theirs("tutorial_grid", "1e-4", 1)  # a rate of the grid
    _compare(grid, {"jax": jax, "tutorial": one_of_each})
    times: dict[str, list[float]] = {"gdcli": [], "jax": [], "tutorial": []}
    for repeat in range(repeats):
        times["gdcli"].append(seconds(grid.ours()))
        times["jax"].append(seconds(jax))
        if repeat < LOOPS:
            few = seconds(three)
            times["tutorial"].append(few + (seconds(six) - few) / 3 * (grid.trials - 3))
    return results("whole", grid.title, times, limits={"gdcli": grid.limit} if grid.limit else {})


def _compare(grid: Grid, rivals: Mapping[str, Sequence[str]]) -> None:
    with TemporaryDirectory() as folder:
        run(grid.ours(), Path(folder))
        ours = _losses(Path(folder) / "grid" / "curves.csv")
    for name, arguments in rivals.items():
        with TemporaryDirectory() as folder:
            run(arguments, Path(folder))
            theirs = _losses(Path(folder) / "curves.csv")
        for (trial, epoch), loss in theirs.items():
            scale = max(abs(loss), 1e-6 * abs(theirs[trial, "0"]))
            if not abs(ours[trial, epoch] - loss) <= TOLERANCE * scale:
                what = f"{name} has a loss of {loss} in epoch {epoch} of {trial}"
                raise DisagreementError(f"{what}, gdcli of {ours[trial, epoch]}")


def _losses(file: Path) -> dict[tuple[str, str], float]:
    with file.open(encoding="utf-8") as stream:
        rows = csv.DictReader(stream)
        return {(row["trial"], row["epoch"]): float(row["train_loss"]) for row in rows}


def results(
    section: str,
    title: str,
    times: Mapping[str, Sequence[float]],
    *,
    limits: Mapping[str, float] | None = None,
    goals: Mapping[str, float] | None = None,
) -> list[Result]:
    """Return the results of commands, the first of which the others are held against."""
    own = median(next(iter(times.values())))
    first = next(iter(times))
    return [
        Result(
            section=section,
            workload=title,
            contestant=name,
            unit="s",
            value=spread(walls),
            ratio=None if name == first else spread([wall / own for wall in walls]),
            limit=(limits or {}).get(name),
            goal=(goals or {}).get(name),
        )
        for name, walls in times.items()
    ]
