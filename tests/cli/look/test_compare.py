"""`gdcli compare`: what differs between runs, and each method and optimizer at its best."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from tests.cli.command_line import Shell, gdcli

if TYPE_CHECKING:
    from pathlib import Path

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
    assert momentum["diverged"] == (of_momentum["status"] == "diverged").sum()
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


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        (("quadratic",), ("rosenbrock",), "different problems (a: quadratic, b: rosenbrock)"),
        (("quadratic",), ("quadratic", "--condition", "50"), "of a and b differ"),
        (("quadratic",), ("quadratic", "--lr", "0.01", "--optimizer", "momentum"), ""),
        (
            ("expression", "--formula", "x**2", "--start", "1"),
            ("expression", "--formula", "x**4", "--start", "1"),
            "of a and b differ",
        ),
        (("linear-regression",), ("linear-regression", "--data-seed", "3"), "of a and b differ"),
        (
            ("mlp", "--dataset", "iris"),
            ("mlp", "--dataset", "wine"),
            "of a and b differ",
        ),
        (("mlp", "--dataset", "iris"), ("mlp", "--dataset", "iris", "--hidden", "3"), ""),
        (
            ("quadratic", "--vary", "condition=10,50"),
            ("quadratic", "--condition", "50"),
            "",
        ),
    ],
)
def test_losses_of_two_problems_are_said_not_to_compare(
    first: tuple[str, ...], second: tuple[str, ...], said: str, shell: Shell
) -> None:
    for name, command in (("a", first), ("b", second)):
        assert shell("run", *command, "--epochs", "2", "--name", name, "--quiet") == 0
    assert shell("compare", "a", "b") == 0
    assert (": their losses do not compare." in shell.out) == bool(said)
    assert said in shell.out
    assert shell("compare", "a", "b", "--format", "json") == 0
    assert len(json.loads(shell.out)["notes"]) == bool(said)
    assert shell("compare", "a", "b", "--format", "csv") == 0
    assert ("do not compare" in shell.err) == bool(said)


def test_rates_that_print_alike_are_told_apart_everywhere(shell: Shell) -> None:
    command = ("run", "quadratic", "--condition", "10", "--epochs", "200", "--quiet")
    assert shell(*command, "--lr", "0.2,0.19999,0.20001", "--name", "a") == 0
    assert shell(*command, "--lr", "0.1,0.2", "--optimizer", "vanilla,adam", "--name", "b") == 0
    assert shell("compare", "a", "b", "--pair", "a,b") == 0
    assert shell.out.splitlines()[1].split("  ")[1].strip() == "0.19999"
    assert shell("compare", "a", "b") == 0
    (row,) = [line for line in shell.out.splitlines() if line.startswith("gd      vanilla    a")]
    assert "0.19999" in row.split()
    assert "gd vanilla lr 0.19999" in shell.out
    for view in (
        ("--view", "results"),
        ("--view", "results", "--format", "md"),
        ("--view", "seeds"),
        ("--view", "target", "--target-loss", "4.9"),
    ):
        assert shell("show", "a", *view) == 0
        assert "0.19999" in shell.out
    assert shell("show", "a", "--view", "why") == 0
    rows = [line.split() for line in shell.out.splitlines()[1:4]]
    assert [row[2] for row in rows] == ["0.19999", "0.2", "0.20001"]
    assert [row[-1] for row in rows] == ["-0.01%", "0%", "+0.01%"]


@pytest.mark.usefixtures("results")
def test_the_number_of_rates_tried_stands_beside_a_comparison(shell: Shell) -> None:
    assert shell("compare", "a", "b", "--format", "json") == 0
    assert [row["tried"] for row in json.loads(shell.out)["results"]] == [2, 2, 2, 4]
    assert shell("compare", "a", "b") == 0
    assert "the more rates a setting tries, the lower its best by luck" in shell.out


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
        (("a",), "gdcli compare: 'a' is the only run given; compare needs at least two runs"),
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


@pytest.mark.usefixtures("results")
def test_the_curves_of_the_runs_are_drawn_over_each_other(shell: Shell) -> None:
    assert shell("compare", "a", "b") == 0
    picture = shell.out.partition("\nMedian training loss over seeds, the best setting of ")[2]
    assert " a a: minibatch 32 vanilla lr 0.1\n b b: minibatch 32 vanilla lr 0.1\n" in picture
    assert shell("compare", "a", "b", "--curves", "all", "--metric", "test_loss") == 0
    picture = shell.out.partition("\nMedian test loss over seeds, each setting at its best ")[2]
    assert "\nminibatch 32 vanilla\n" in picture
    assert " a a lr 0.1\n b b lr 0.1\n" in picture
    for form in ("csv", "json", "md"):
        assert shell("compare", "a", "b", "--format", form) == 0
        assert "Median" not in shell.out


@pytest.mark.parametrize("curves", ["best", "all"])
@pytest.mark.usefixtures("results")
def test_the_curves_are_written(shell: Shell, curves: str) -> None:
    for name, starts in (("c.png", b"\x89PNG"), ("c.svg", b"<?xml"), ("c.pdf", b"%PDF")):
        assert shell("compare", "a", "b", "--curves", curves, "-o", name) == 0
        assert shell.errors == [f"the curves are in {name}"]
        assert (shell.folder / name).read_bytes().startswith(starts)
        assert "Median training loss over seeds" not in shell.out


@pytest.mark.usefixtures("results")
def test_two_settings_are_compared_seed_by_seed(shell: Shell) -> None:
    b = "--method", "gd,minibatch", "--lr", "0.01,0.1", "--seed", "1:4", "--dtype", "float32"
    assert shell(*RUN, *b, "--name", "c") == 0
    assert shell("compare", "a", "c", "--pair", "a,c:gd vanilla", "--format", "json") == 0
    (row,) = json.loads(shell.out)
    assert (row["first"], row["second"]) == ("a: minibatch 32 vanilla", "c: gd vanilla")
    assert (row["first_lr"], row["second_lr"], row["seeds"]) == (0.1, 0.1, 2)
    losses: dict[str, Any] = {
        name: pd.read_csv(f"results/{name}/summary.csv").set_index(["method", "lr", "seed"])
        for name in "ac"
    }
    differences = [
        losses["c"].loc[("gd", 0.1, seed), "final_train_loss"]
        - losses["a"].loc[("minibatch", 0.1, seed), "final_train_loss"]
        for seed in (1, 2)
    ]
    assert row["difference"] == pytest.approx(sum(differences) / 2)
    assert shell("compare", "a", "--pair", "a:1,a:2", "--format", "json") == 0
    (alone,) = json.loads(shell.out)
    assert shell("show", "a", "--view", "pairs", "--pair", "gd vanilla,2", "--format", "json") == 0
    (shown,) = json.loads(shell.out)
    assert shown["difference"] == alone["difference"]
    assert (shown["first"], shown["second"]) == ("gd vanilla", "minibatch 32 vanilla")


PAIR = ("a", "b", "--pair")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ((*PAIR, "a"), "--pair: 'a' is not 2 values; "),
        ((*PAIR, "a,q"), "--pair: 'q' names none of the runs; begin with one of a, b"),
        ((*PAIR, "a:1,b:9"), "--pair: there is no setting '9'; give a name from the table of"),
        ((*PAIR, "a:gd vanila,b"), "--pair: there is no setting 'gd vanila'; did you mean 'gd "),
        ((*PAIR, "a:1,a:gd vanilla"), "--pair: both are 'a: gd vanilla'; name two settings"),
        ((*PAIR, "a,bowl"), "--pair: 'bowl' names none of the runs; "),
        (("a", "bowl", "--pair", "a,bowl"), "--pair: 'a: minibatch 32 vanilla' and 'bowl: gd va"),
        ((*PAIR, "a,b", "--profile"), "--pair: --profile shows all settings; leave one of them"),
        ((*PAIR, "a,b", "--curves", "all"), "--curves: it changes nothing with --pair; leave one"),
        (("a", "b", "-o", "x.gif"), "--output: 'x.gif' does not end in .png, .svg or .pdf; "),
        (("a", "b", "--metric", "acc"), "--metric: the run has no 'acc'; give one of train_loss"),
    ],
)
@pytest.mark.usefixtures("results")
def test_a_wrong_pair_or_picture_is_one_line(
    shell: Shell, arguments: tuple[str, ...], line: str
) -> None:
    assert shell("run", "quadratic", "--name", "bowl", "--quiet") == 0
    (error,) = shell.refuses("compare", *arguments)
    assert error.startswith(line)


def test_a_long_axis_is_printed_short_and_kept_whole_in_json(shell: Shell) -> None:
    run = ("run", "quadratic", "--epochs", "1", "--quiet")
    assert shell(*run, "--lr", "log:1e-3:1:300", "--name", "long") == 0
    assert shell(*run, "--lr", "0.1", "--name", "short") == 0
    assert shell("compare", "long", "short", "--format", "md") == 0
    assert max(map(len, shell.out.splitlines())) < 300
    assert shell("compare", "long", "short", "--format", "json") == 0
    assert len(json.loads(shell.out)["settings"]["grid.lr"]["long"].split(",")) == 300


@pytest.mark.parametrize("problem", ["logistic-regression", "svm"])
def test_runs_whose_loss_functions_differ_are_told_apart(problem: str, shell: Shell) -> None:
    run = ("run", problem, "--epochs", "2", "--quiet")
    assert shell(*run, "--name", "plain") == 0
    assert shell(*run, "--class-weights", "balanced", "--name", "weighed") == 0
    assert shell(*run, "--l2", "0.1", "--name", "shrunk") == 0
    assert shell("compare", "plain", "weighed") == 0
    assert (
        "The loss functions of plain and weighed differ, as by weights of the classes: "
        "their losses do not compare."
    ) in shell.out.splitlines()
    assert shell("compare", "plain", "shrunk") == 0
    assert "do not compare" not in shell.out
