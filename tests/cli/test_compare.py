"""`gdcli compare`: what differs between runs, and each method and optimizer at its best."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pandas as pd
import pytest

from tests.cli.command_line import Shell, gdcli

RUN = ("run", "linear-regression", "--epochs", "3", "--quiet")


@pytest.fixture
def results(shell: Shell) -> Path:
    """Return the folder of two runs."""
    a = ("--method", "gd,minibatch", "--lr", "0.01,0.1", "--seed", "0:2")
    b = ("--method", "minibatch", "--lr", "0.1,1e3", "--optimizer", "vanilla,momentum")
    assert shell(*RUN, *a, "--name", "a") == 0
    assert shell(*RUN, *b, "--vary", "momentum.beta=0.5,0.9", "--name", "b") == 0
    return shell.folder / "results"


def test_settings_and_results_are_shown_side_by_side(shell: Shell, results: Path) -> None:
    assert shell("compare", "a", str(results / "b"), "--format", "json") == 0
    found = json.loads(shell.out)
    assert found["settings"] == {
        "grid.method": {"a": "gd,minibatch", "b": "minibatch"},
        "grid.lr": {"a": "0.01,0.1", "b": "0.1,1000.0"},
        "grid.seed": {"a": "0,1,2", "b": "default"},
        "grid.optimizer": {"a": "default", "b": "vanilla,momentum"},
        "vary.momentum.beta": {"a": "default", "b": "0.5,0.9"},
    }
    kinds = [(row["method"], row["optimizer"], row["run"]) for row in found["results"]]
    assert kinds == [
        ("gd", "vanilla", "a"),
        ("minibatch", "vanilla", "a"),
        ("minibatch", "vanilla", "b"),
        ("minibatch", "momentum", "b"),
    ]
    momentum = found["results"][-1]
    summary = pd.read_csv(results / "b" / "summary.csv")
    of_momentum = summary[summary["optimizer"] == "momentum"]
    assert momentum["train_loss"] == of_momentum["final_train_loss"].min()
    (best,) = of_momentum.nsmallest(1, "final_train_loss").to_dict("records")
    assert momentum["lr"] == best["lr"]
    assert momentum["settings"] == f"schedule=constant momentum.beta={best['momentum.beta']}"
    assert momentum["diverged"] == (of_momentum["verdict"] == "diverged").sum()
    medians = pd.read_csv(results / "a" / "summary.csv").groupby(["method", "lr"])
    lowest = medians["final_train_loss"].median()["gd"].min()
    assert found["results"][0]["train_loss"] == lowest
    assert found["results"][0]["seeds"] == 3


@pytest.mark.usefixtures("results")
def test_every_format_says_the_same(shell: Shell) -> None:
    assert shell("compare", "b", "a", "--format", "csv") == 0
    header, *rows = csv.reader(shell.out.splitlines())
    assert [row[header.index("run")] for row in rows] == ["b", "a", "b", "a"]
    assert shell("compare", "b", "a") == 0
    table = shell.out
    assert table.startswith("setting")
    assert "failed" not in table  # no trial did
    assert shell("compare", "b", "a", "--format", "md") == 0
    assert [line.split("|")[1].strip() for line in shell.out.splitlines() if "--- |" in line] == (
        ["---", "---"]
    )


def test_problems_varied_are_not_mixed(shell: Shell) -> None:
    run = ("run", "quadratic", "--quiet", "--epochs", "3", "--vary", "condition=2,10")
    assert shell(*run, "--lr", "0.1,0.2", "--name", "a") == 0
    assert shell(*run, "--lr", "0.1", "--name", "b") == 0
    assert shell("compare", "a", "b", "--format", "json") == 0
    rows = [(row["problem"], row["run"], row["lr"]) for row in json.loads(shell.out)["results"]]
    assert rows == [
        ("condition=2.0", "a", 0.2),
        ("condition=2.0", "b", 0.1),
        ("condition=10.0", "a", 0.1),
        ("condition=10.0", "b", 0.1),
    ]


def test_the_engine_is_a_difference(shell: Shell) -> None:
    run = ("run", "quadratic", "--quiet", "--epochs", "3", "--name")
    assert shell(*run, "a") == shell(*run, "b", "--engine", "reference") == 0
    assert shell("compare", "a", "b", "--format", "json") == 0
    assert json.loads(shell.out)["settings"]["engine"] == {"a": "auto", "b": "reference"}


def test_runs_of_one_name_are_told_by_their_folders(shell: Shell) -> None:
    run = ("run", "quadratic", "--quiet", "--name", "same", "-o")
    assert shell(*run, "here") == shell(*run, "there") == 0
    assert shell("compare", "here/same", "there/same") == 0
    assert shell.out.startswith("The settings are the same.\n")
    assert "here/same" in shell.out
    assert "there/same" in shell.out


@pytest.mark.usefixtures("results")
def test_profiles_compare_methods_over_problems_and_seeds(shell: Shell) -> None:
    assert shell("compare", "a", "b", "--profile", "--format", "json", "--tau", "0.3") == 0
    rows = {row["solver"]: row for row in json.loads(shell.out)}
    assert list(rows) == [
        "gd vanilla",
        "minibatch 32 vanilla",
        "minibatch 32 momentum momentum.beta=0.5",
        "minibatch 32 momentum momentum.beta=0.9",
    ]
    assert {row["instances"] for row in rows.values()} == {3}  # the same data, seeds 0 to 2
    assert rows["minibatch 32 vanilla"]["solved"] > rows["gd vanilla"]["solved"]
    assert shell("compare", "a", "--profile") == 0
    assert "Performance profile: " in shell.out


def test_where_nothing_falls_there_is_no_profile(shell: Shell) -> None:
    assert shell("run", "quadratic", "--lr", "9", "--name", "lost", "--quiet") == 0
    assert shell("compare", "lost", "--profile", "--format", "json") == 0
    assert json.loads(shell.out) == []
    assert shell.errors == ["no trial fell below its start: there is nothing to compare"]


def test_torch_is_not_imported(shell: Shell, results: Path) -> None:
    code = "code = main(); print('torch' in sys.modules, file=sys.stderr); sys.exit(code)"
    done = gdcli("compare", "a", "b", folder=shell.folder, code=code)
    assert (done.returncode, done.stderr) == (0, "False\n")
    assert results.is_dir()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("a",), "gdcli compare: 'a' is one run alone; give two runs or more"),
        (("a", "results/a"), "'results/a': it is given twice; "),
        (("a", "c"), "'c': there is no such run; "),
        ((), "gdcli compare: RUN is missing; "),
        (("a", "b", "--tau", "0.1"), "--tau: only profiles have a target; give --profile, too"),
        (("a", "b", "--profile", "--tau", "1"), "--tau: 1.0 is not less than 1; "),
    ],
)
@pytest.mark.usefixtures("results")
def test_a_mistake_is_one_line(shell: Shell, arguments: tuple[str, ...], line: str) -> None:
    (error,) = shell.refuses("compare", *arguments)
    assert error.startswith(line)


def test_a_run_that_is_not_finished_is_called_so(shell: Shell, results: Path) -> None:
    (results / "b" / "manifest.json").unlink()
    (results / "b" / "summary.csv").unlink()
    for arguments in (("compare", "a", "b"), ("show", "b"), ("show", "results/b")):
        (error,) = shell.refuses(*arguments)
        assert error.startswith(f"'{arguments[-1]}': the run is not finished; give its command ")


def test_a_damaged_run_is_refused(shell: Shell, results: Path) -> None:
    (results / "a" / "curves.csv").write_text("")
    (error,) = shell.refuses("compare", "b", "a")
    assert error.startswith("results/a/curves.csv: it is not what the run wrote; ")
    (results / "b" / "summary.csv").unlink()
    (error,) = shell.refuses("show", "b")
    assert error.startswith("results/b/summary.csv: it is not what the run wrote; ")
