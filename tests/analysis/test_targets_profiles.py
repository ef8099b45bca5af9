"""Performance and data profiles, from runs made by hand."""

from __future__ import annotations

import csv
import io
import json
from math import inf
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from gdcli.analysis.targets import Profile, ProfiledRun, profiles
from gdcli.analysis.theory import RunConstants
from gdcli.report.comparison import print_profiles
from gdcli.runs.trials import read_trials
from tests.run_folders import Made, write_run

if TYPE_CHECKING:
    from pathlib import Path


def source(folder: Path, trials: list[Made], *problems: str) -> ProfiledRun:
    """Return a run whose trials' last setting, `problem`, says of which problem they are."""
    run = read_trials(write_run(folder, trials, ["problem"]))
    empty = {"examples": 9, "minimum": None, "curvature": None, "noise": None}
    entries = [{"problem": p, "options": {"problem": p}, **empty} for p in problems]
    experiment = {"problem": "bowl", "settings": {"grid": {}}}
    data = dict.fromkeys(problems, "0")
    return ProfiledRun(
        folder, run, RunConstants({"experiment": experiment, "data": data, "theory": entries})
    )


def made(
    losses: list[float], problem: str = "a", optimizer: str = "vanilla", **more: float
) -> Made:
    seed, lr = int(more.get("seed", 0)), more.get("lr", 0.1)
    return Made([100.0, *losses], optimizer=optimizer, varied=[problem], seed=seed, lr=lr)


def two_solvers(folder: Path) -> list[Profile]:
    """Return vanilla and adam on problems a and b, with one seed and two."""
    trials = [
        made([50.0, 1.0, 0.0], "a"),
        made([50.0, 50.0, 50.0, 0.5], "b"),
        made([50.0, 50.0], "b", seed=1),
        made([0.9], "a", "adam"),
        made([0.0, 0.0], "b", "adam"),
        made([50.0, 50.0, 50.0, 0.0], "b", "adam", seed=1),
    ]
    return profiles([source(folder, trials, "a", "b")], tau=0.01)


def test_an_instance_is_solved_within_tau_of_the_lowest_loss(tmp_path: Path) -> None:
    vanilla, adam = two_solvers(tmp_path)
    assert (vanilla.solver, adam.solver) == ("gd vanilla", "gd adam")
    assert sorted(vanilla.epochs.values()) == [2, 4, inf]
    assert sorted(adam.epochs.values()) == [1, 1, 4]
    assert sorted(vanilla.ratios.values()) == [2, 4, inf]
    assert set(adam.ratios.values()) == {1}


def test_profiles_are_the_shares_solved(tmp_path: Path) -> None:
    vanilla, adam = two_solvers(tmp_path)
    third = pytest.approx(1 / 3)
    assert vanilla.performance == [(1.0, 0.0), (2.0, third), (4.0, pytest.approx(2 / 3))]
    assert vanilla.data == [(0.0, 0.0), (2.0, third), (4.0, pytest.approx(2 / 3))]
    assert adam.performance == [(1.0, 1.0)]
    assert vanilla.within(3) == third
    assert vanilla.solved == pytest.approx(2 / 3)
    assert adam.solved == 1


def test_the_best_learning_rate_of_each_problem_counts(tmp_path: Path) -> None:
    trials = [made([50.0, 0.0], "a", lr=0.1), made([0.0], "a", lr=0.2)]
    trials += [made([0.0], "b", lr=0.1), made([50.0, 0.0], "b", lr=0.2)]
    (found,) = profiles([source(tmp_path, trials, "a", "b")], tau=0.01)
    assert list(found.epochs.values()) == [1, 1]


def test_runs_on_the_same_problem_share_their_instances(tmp_path: Path) -> None:
    one = source(tmp_path / "one", [made([50.0, 0.0])], "a")
    two = source(tmp_path / "two", [made([0.0], optimizer="adam")], "a")
    other = source(tmp_path / "other", [made([0.0], "c", "adam")], "c")
    vanilla, adam = profiles([one, two, other], tau=0.01)
    assert sorted(vanilla.ratios.values()) == [2, inf]  # it has no trial on the other problem
    assert sorted(adam.ratios.values()) == [1, 1]


def test_failed_and_diverged_trials_do_not_solve(tmp_path: Path) -> None:
    lost = Made([100.0, inf], varied=["a"], optimizer="adam", status="diverged")
    failed = Made([], varied=["a"], optimizer="lion", status="failed")
    found = profiles([source(tmp_path, [made([0.0]), lost, failed], "a")], tau=0.5)
    assert [profile.solved for profile in found] == [1, 0, 0]


def test_an_instance_on_which_nobody_falls_is_left_out(tmp_path: Path) -> None:
    trials = [made([100.0, 200.0], "a"), made([1.0], "b")]
    (found,) = profiles([source(tmp_path, trials, "a", "b")], tau=0.01)
    assert len(found.epochs) == 1
    assert profiles([source(tmp_path, trials[:1], "a")], tau=0.01) == []


def test_a_target_loss_takes_the_place_of_tau(tmp_path: Path) -> None:
    trials = [made([50.0, 20.0, 0.0]), made([10.0], optimizer="adam")]
    vanilla, adam = profiles([source(tmp_path, trials, "a")], tau=0.01, target_loss=20.0)
    assert ([*vanilla.epochs.values()], [*adam.epochs.values()]) == ([2], [1])
    vanilla, adam = profiles([source(tmp_path, trials, "a")], tau=0.01, target_loss=1e3)
    assert (vanilla.solved, adam.solved) == (1, 1)  # all are there at the start


def printed(found: list[Profile], form: str) -> str:
    file = io.StringIO()
    print_profiles(found, form, Console(file=file, markup=False, width=200))
    return file.getvalue()


def test_every_format_has_the_shares(tmp_path: Path) -> None:
    found = two_solvers(tmp_path)
    first, second = json.loads(printed(found, "json"))
    assert (first["instances"], first["within_2x"]) == (3, pytest.approx(1 / 3))
    assert second["performance"] == [[1.0, 1.0]]
    rows = list(csv.DictReader(io.StringIO(printed(found, "csv"))))
    assert {(row["profile"], row["solver"]) for row in rows} == {
        (name, solver) for name in ("performance", "data") for solver in ("gd vanilla", "gd adam")
    }
    assert len(printed(found, "md").splitlines()) == 4
    table = printed(found, "table")
    assert "Performance profile: " in table
    assert "Data profile: " in table
    assert " a gd adam" in table
    assert printed([], "csv").strip() == printed([], "table").strip() == ""


def test_without_utf_8_the_plots_are_left_out_and_said(tmp_path: Path) -> None:
    file = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="strict")
    print_profiles(two_solvers(tmp_path), "table", Console(file=file, markup=False, width=200))
    file.seek(0)
    assert "The plots need UTF-8, and the output is ascii" in file.read()
