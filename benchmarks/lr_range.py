"""How good the rate is that `gdcli lr-range` says to use: against a dense grid of rates.

For each pair of a problem and an optimizer the command's search runs over seeds 0 to 2. Then a grid
of rates, four in each decade, and the suggested rate are trained on other seeds, for 10 epochs or,
with gd, for a number of steps that fits the problem. A suggestion is *good* if its loss is at least
90% of the way down from the start to the lowest loss of the grid. It is *near* the best if its rate
is within a factor of 3 of the grid's best rate, or its loss within a thousandth of that way.

    python -m benchmarks.lr_range            # some minutes; writes benchmarks/lr-range.md
    python -m benchmarks.lr_range --epochs 30  # another budget for the grid; writes nothing
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf, isfinite, isnan, log
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from gdcli.engine.examples import examples_of
from gdcli.engine.plan import plan_of
from gdcli.experiment.experiment import Experiment, Given, read
from gdcli.runs.options import Silent
from gdcli.studies.lr_range.search import SettingRange, range_test
from gdcli.studies.lr_range.show import answer
from gdcli.studies.options import Compute, RangeTest
from gdcli.studies.training import train

TABLE = Path(__file__).with_name("lr-range.md")
SEARCHED, JUDGED = "0:2", "3:5"  # seeds: a suggestion must hold on others
GRID = "log:1e-5:100:29"  # four rates a decade
GOOD, NEAR, SAME = 0.9, 3.0, 1e-3
GOALS = {"good": 0.95, "near": 0.9}
CPU = Compute(device="cpu")


@dataclass(frozen=True)
class Pair:
    """A problem and an optimizer."""

    problem: str
    optimizer: str = "vanilla"
    method: str = "minibatch"
    options: Mapping[str, Any] = field(default_factory=dict)
    grid: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What it is, in a few words."""
        size = self.grid.get("batch-size", 32 if self.method == "minibatch" else "")
        options = [f"{k}={v}" for k, v in self.options.items() if k not in ("data", "target")]
        data = ["of a CSV file"] if "data" in self.options else []
        words = [self.problem, *options, *data, self.method, size, self.optimizer]
        return " ".join(str(word) for word in words if word != "")

    def experiment(self, seeds: str, **grid: Any) -> Experiment:
        """Return its experiment, on some seeds."""
        own = {"method": self.method, "optimizer": self.optimizer, "seed": seeds, **self.grid}
        if self.method == "minibatch":
            own.setdefault("batch-size", "32")
        given = {**own, **grid}
        return read(Given(self.problem, self.options, given, {}, (), lambda name: f"--{name}"))


def pairs(table: Path) -> list[Pair]:
    """Return the pairs; `table` is a CSV file of classes."""
    churn = {"data": str(table), "target": "leaves"}
    return [
        Pair("mlp", options=churn),
        Pair("mlp", "adam", options=churn),
        Pair("mlp", "momentum", options={"dataset": "digits"}),
        Pair("mlp", "adam", options={"dataset": "digits"}),
        Pair("mlp", options={"dataset": "iris"}, grid={"batch-size": "8"}),
        Pair("cnn"),
        Pair("cnn", "adam"),
        Pair("logistic-regression"),
        Pair("logistic-regression", "adam"),
        Pair("logistic-regression", "nesterov"),
        Pair("logistic-regression", method="gd"),
        Pair("softmax-regression", "adam", "sgd", {"dataset": "iris"}),
        Pair("softmax-regression", options={"dataset": "wine"}, grid={"batch-size": "16"}),
        Pair("softmax-regression", "adam", options={"dataset": "digits"}),
        Pair("linear-regression", method="gd"),
        Pair("linear-regression", method="sgd"),
        Pair("linear-regression"),
        Pair("huber", "nesterov"),
        Pair("poisson-regression", "rmsprop"),
        Pair("svm", "lion"),
        Pair("quadratic", method="gd", options={"condition": "10"}),
        Pair("quadratic", method="gd", options={"condition": "100"}),
        Pair("quadratic", "momentum", "gd", {"condition": "1000"}),
        Pair("quadratic", "adam", "gd", {"condition": "100"}),
        Pair("rosenbrock", method="gd"),
        Pair("rosenbrock", "adam", "gd"),
        Pair("matrix-factorization", method="gd"),
        Pair("autoencoder", "adam"),
    ]


def write_table(file: Path) -> None:
    """Write customers who leave or stay, drawn from a logistic model of three of four columns."""
    random = np.random.default_rng(5)
    columns = {
        "age": random.integers(18, 80, 1200).astype(float),
        "income": random.lognormal(10.5, 0.5, 1200),
        "years": random.exponential(5.0, 1200),
        "balance": random.normal(5000.0, 3000.0, 1200),
    }
    odds = 0.03 * columns["age"] + 2e-5 * columns["income"] - 0.3 * columns["years"] - 2.8
    leaves = np.where(random.random(1200) < 1 / (1 + np.exp(-odds)), "yes", "no")
    with file.open("w", newline="", encoding="utf-8") as out:
        rows = csv.writer(out)
        rows.writerow([*columns, "leaves"])
        rows.writerows(zip(*(values.round(2) for values in columns.values()), leaves, strict=True))


@dataclass(frozen=True)
class Judged:
    """A suggestion beside the grid."""

    pair: Pair
    found: SettingRange
    seconds: float  # of processor, that the search took
    best: float  # the grid's rate of the lowest loss
    good: tuple[float, float]  # the ends of the grid's good rates around it
    down: float  # how far down the suggestion comes: 1 is the grid's lowest loss

    @property
    def is_good(self) -> bool:
        """Whether the suggestion is in the good region."""
        return self.down >= GOOD

    @property
    def is_near(self) -> bool:
        """Whether it is near the grid's best."""
        rate = self.found.suggested
        ratio = abs(log(rate / self.best)) if rate else inf
        return ratio <= log(NEAR) * (1 + 1e-9) or self.down >= 1 - SAME


def judge(pair: Pair, epochs: int | None) -> Judged:
    """Search the rate of a pair, then train the grid and the suggestion."""
    begun = time.process_time()
    (found,) = range_test(pair.experiment(SEARCHED), RangeTest(), CPU, Silent)
    seconds = time.process_time() - begun
    budget = {"epochs": str(epochs or 10)} if pair.method != "gd" else {}
    if pair.method == "gd" and epochs:
        budget = {"epochs": str(epochs * found.plan.steps // 10)}
    ends, start = _trained(pair, GRID, budget)
    best = min(ends, key=lambda lr: ends[lr])
    lowest = ends[best]
    level = start - GOOD * (start - lowest)
    suggested = inf
    if found.suggested is not None:
        (suggested,) = _trained(pair, repr(found.suggested), budget)[0].values()
    down = (start - suggested) / (start - lowest) if isfinite(suggested) else -inf
    return Judged(pair, found, seconds, best, _around(best, ends, level), down)


def _trained(pair: Pair, rates: str, budget: Mapping[str, str]) -> tuple[dict[float, float], float]:
    """Return the losses at the end by rate, and that at the start: medians over the seeds."""
    every = pair.experiment(JUDGED, lr=rates, **budget).grid.trials
    steps = plan_of(every[0], examples_of(every[0]).examples).steps
    trials = [replace(t, training=replace(t.training, record=str(steps))) for t in every]
    trained = train(trials, CPU, Silent).trained
    ends: dict[float, list[float]] = {}
    for trial, one in trained.items():
        loss = one.losses[-1]
        ends.setdefault(trial.lr, []).append(inf if one.diverged or isnan(loss) else loss)
    start = median(one.losses[0] for one in trained.values())
    return {lr: median(losses) for lr, losses in sorted(ends.items())}, start


def _around(best: float, grid: Mapping[float, float], level: float) -> tuple[float, float]:
    rates = list(grid)
    low = high = rates.index(best)
    while low and grid[rates[low - 1]] <= level:
        low -= 1
    while high + 1 < len(rates) and grid[rates[high + 1]] <= level:
        high += 1
    return rates[low], rates[high]


HEAD = (
    "| pair | what lr-range says | grid's best (good) | way down | good | near | s |\n"
    "|---|---|---|---|---|---|---|\n"
)


def row(one: Judged) -> str:
    """Return a row of the table."""
    good = f"{one.good[0]:.3g} to {one.good[1]:.3g}"
    marks = ["yes" if is_so else "**no**" for is_so in (one.is_good, one.is_near)]
    cells = [one.pair.name, answer(one.found), f"{one.best:.3g} ({good})", f"{one.down:.2%}"]
    return f"| {' | '.join([*cells, *marks, f'{one.seconds:.1f}'])} |\n"


def summary(judged: Sequence[Judged]) -> Iterator[str]:
    """Yield how many suggestions are good and near, beside the goals."""
    counts = {"good": sum(j.is_good for j in judged), "near": sum(j.is_near for j in judged)}
    for name, count in counts.items():
        share = count / len(judged)
        met = "met" if share >= GOALS[name] else "**missed**"
        yield f"{name}: {count} of {len(judged)} ({share:.0%}; goal {GOALS[name]:.0%}, {met})\n"


def main() -> int:
    """Judge every pair; print the table, and write it unless another budget is asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--epochs", type=int, help="epochs of the grid; of gd, tenths of its own")
    parser.add_argument("--only", default="", help="pairs whose name has this in it")
    options = parser.parse_args()
    judged = []
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder, "customers.csv")
        write_table(table)
        sys.stdout.write(HEAD)
        for pair in pairs(table):
            if options.only in pair.name:
                judged.append(judge(pair, options.epochs))
                sys.stdout.write(row(judged[-1]))
                sys.stdout.flush()
    lines = [HEAD, *map(row, judged), "\n", *(f"- {line}" for line in summary(judged))]
    sys.stdout.writelines(lines[len(judged) + 1 :])
    if options.epochs is None and not options.only:
        about = "\n".join((__doc__ or "").splitlines()[2:])
        text = f"# Learning rates that are suggested\n\n{about}\n\n"
        TABLE.write_text(text + "".join(lines), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
