import io
import json
from typing import Any

import pytest
from rich.console import Console

from gdcli.engine.estimate import CohortEstimate, Estimate
from gdcli.numbers import bytes_in_words, duration
from gdcli.report.dry_run import MOST_TRIALS, print_plan
from tests.grids import experiment

ONE = CohortEstimate("gd vanilla", 6, 50, 51, 0.5, 2_000_000, 40_000)
OTHER = CohortEstimate("gd momentum", 6, 50, 51, 70.0, 3_000_000, 40_000)


def planned(form: str, seed: str = "0:2", **grid: Any) -> str:
    given = experiment("quadratic", seed=seed, lr="0.1,0.2", **grid)
    file = io.StringIO()
    console = Console(file=file, width=10_000, markup=False, highlight=False)
    print_plan(Estimate((ONE, OTHER), given.grid.trials), form, console)
    return file.getvalue()


def test_the_cohorts_and_their_totals_are_printed() -> None:
    header, one, other, total, *_ = planned("table").splitlines()
    assert header.split("  ")[0] == "cohort"
    assert " ".join(one.split()) == "gd vanilla 6 50 51 0.5 s 2 MB 40 kB"
    assert " ".join(other.split()) == "gd momentum 6 50 51 1 min 10 s 3 MB 40 kB"
    room = "3 MB of memory, 80 kB of disk"
    assert total == f"In all: 6 trials, 600 steps, about 1 min 10 s on one core, {room}"


def test_every_trial_is_listed_with_its_settings() -> None:
    rows = json.loads(planned("json", optimizer="momentum", vary={"momentum.beta": "0.5,0.9"}))
    assert len(rows) == 12
    assert list(rows[0]) == [
        *("trial", "method", "batch_size", "optimizer", "lr", "schedule", "seed", "momentum.beta")
    ]
    assert {(row["lr"], row["seed"], row["momentum.beta"]) for row in rows} == {
        (lr, seed, beta) for lr in (0.1, 0.2) for seed in (0, 1, 2) for beta in (0.5, 0.9)
    }
    assert len({row["trial"] for row in rows}) == 12


def test_a_setting_that_one_optimizer_lacks_is_empty() -> None:
    text = planned("csv", optimizer="vanilla,momentum", vary={"momentum.beta": "0.5,0.9"})
    header, first, *rest = (line.split(",") for line in text.splitlines())
    assert header[-1] == "momentum.beta"
    assert {row[-1] for row in (first, *rest)} == {"", "0.5", "0.9"}


def test_the_table_has_the_trials_up_to_a_limit() -> None:
    short = planned("table").splitlines()
    assert len(short) == 5 + 1 + 6
    long = planned("table", seed="0:99").splitlines()
    assert len(long) == 5 + 1 + MOST_TRIALS + 1
    assert long[-1] == f"and {200 - MOST_TRIALS} more trials; all: --format csv"
    assert len(planned("md", seed="0:99").splitlines()) == 202


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (200, "3 min 20 s"),
        (7500, "2 h 5 min"),
        (float("inf"), "unknown"),
        (float("nan"), "unknown"),
    ],
)
def test_durations_are_said_in_words(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (1234567, "1.23 MB"),
        (999_999, "1 MB"),
        (5e18, "5e+03 PB"),
    ],
)
def test_sizes_have_decimal_units(count: int, text: str) -> None:
    assert bytes_in_words(count) == text
