"""The line below the results: what a constant answer reaches, and who is no better."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from tests.cli.command_line import Shell


def write(file: Path, kinds: list[str]) -> None:
    """Write a table whose two features say nothing of the kind."""
    rng = np.random.default_rng(0)
    rows = [
        f"{a},{b},{kind}" for (a, b), kind in zip(rng.random((len(kinds), 2)), kinds, strict=True)
    ]
    file.write_text("\n".join(["u,v,kind", *rows]) + "\n", encoding="utf-8")


@pytest.fixture
def rare(shell: Shell) -> Shell:
    """Return a shell in a folder with a file of 90 rows of 'no' and 10 of 'yes'."""
    write(shell.folder / "f.csv", ["no"] * 90 + ["yes"] * 10)
    return shell


DATA = ("--data", "f.csv", "--target", "kind")


@pytest.mark.parametrize("problem", ["logistic-regression", "softmax-regression", "svm", "mlp"])
def test_a_model_that_says_no_to_everybody_is_no_better(rare: Shell, problem: str) -> None:
    assert rare("run", problem, *DATA, "--stratify", "--lr", "1e-6", "--epochs", "1", "--name", "r",
                "--init-scale=0" if problem != "mlp" else "--hidden=2", "--quiet") == 0  # fmt: skip
    rows = {row["trial"]: row for row in csv.DictReader(_open(rare, "summary.csv"))}
    (row,) = rows.values()
    assert rare("show", "r") == 0
    line = next(line for line in rare.out.splitlines() if line.startswith("Baseline"))
    assert "always answering 'no' has train accuracy 0.9, test accuracy 0.9" in line
    worse = float(row["final_train_balanced_accuracy"]) <= 0.5
    assert ("is no better than always answering 'no'" in rare.out) == worse


def _open(shell: Shell, name: str) -> list[str]:
    return (shell.folder / "results" / "r" / name).read_text(encoding="utf-8").splitlines()


def test_every_form_has_it(rare: Shell) -> None:
    assert rare("run", "softmax-regression", *DATA, "--lr", "1e-9,1", "--epochs", "1", "--name",
                "r", "--quiet") == 0  # fmt: skip
    assert rare("show", "r", "--format", "md") == 0
    assert any(line.startswith("Baseline: always answering 'no'") for line in rare.out.splitlines())
    assert rare("show", "r", "--format", "json") == 0
    (row,) = json.loads(rare.out)
    assert row["baseline_class"] == "no"
    train, test = row["baseline_train_accuracy"], row["baseline_test_accuracy"]
    assert train * 80 + test * 20 == pytest.approx(90)
    assert rare("report", "r", "--quiet") == 0
    page = next((rare.folder / "results" / "r").glob("*.html"), None) or rare.folder / "report.html"
    assert "Baseline: always answering &#x27;no&#x27;" in page.read_text(encoding="utf-8")


def test_who_is_better_is_not_named(shell: Shell) -> None:
    assert shell("run", "logistic-regression", "--lr", "0.5", "--epochs", "50", "--name", "r",
                 "--quiet") == 0  # fmt: skip
    assert shell("show", "r") == 0
    assert "Baseline: always answering 'benign' has train accuracy" in shell.out
    assert "no better" not in shell.out


def test_of_numbers_it_is_the_best_constant(shell: Shell) -> None:
    assert shell("run", "linear-regression", "--lr", "1e-9,0.1", "--epochs", "20", "--name", "r",
                 "--quiet") == 0  # fmt: skip
    assert shell("show", "r") == 0
    assert "Baseline: the best constant prediction has train loss" in shell.out
    assert "no lower loss" not in shell.out
    assert shell("run", "linear-regression", "--lr", "1e-9", "--epochs", "1", "--name", "bad",
                 "--quiet") == 0  # fmt: skip
    assert shell("show", "bad") == 0
    line = "gd vanilla has no lower loss than the best constant prediction, on both parts."
    assert line in shell.out.splitlines()


def test_where_nothing_is_predicted_there_is_none(shell: Shell) -> None:
    assert shell("run", "quadratic", "--lr", "0.1", "--epochs", "5", "--name", "r", "--quiet") == 0
    assert shell("show", "r") == 0
    assert "Baseline" not in shell.out
    assert shell("show", "r", "--format", "json") == 0
    assert not [key for key in json.loads(shell.out)[0] if key.startswith("baseline")]


def test_the_name_of_a_class_is_printed_literally(shell: Shell) -> None:
    write(shell.folder / "f.csv", ["[red]\x1b[31mno[/red]"] * 40 + ["yes"] * 10)
    assert (
        shell("run", "mlp", *DATA, "--lr", "1e-6", "--epochs", "1", "--name", "r", "--quiet") == 0
    )
    assert shell("show", "r") == 0
    assert "\x1b" not in shell.out
    assert r"'[red]\x1b[31mno[/red]'" in shell.out


def test_problems_that_differ_have_one_each(rare: Shell) -> None:
    assert rare("run", "logistic-regression", *DATA, "--balanced-accuracy", "--vary",
                "class-weights=none,balanced", "--lr", "0.1", "--epochs", "2", "--name", "r",
                "--quiet") == 0  # fmt: skip
    assert rare("show", "r") == 0
    lines = [line for line in rare.out.splitlines() if line.startswith("Baseline of")]
    assert [("none" in line, "balanced:" in line) for line in lines] == [
        (True, False),
        (False, True),
    ]
    assert "train loss 0.6931" in lines[1]  # where both classes count alike
