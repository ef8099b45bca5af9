"""The line below the results: what a constant answer reaches, and who is no better."""

from __future__ import annotations

import csv
import json
import re
from html import unescape
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.own_code import NET
from tests.own_code import write as write_code

if TYPE_CHECKING:
    from pathlib import Path

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
    assert "Baseline: always answering 'no'" in unescape(page.read_text(encoding="utf-8"))


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


def test_losses_that_do_not_compare_are_not_ranked(rare: Shell) -> None:
    """A loss with weights of the classes is another function than the one without."""
    for name, problem in (("r", "logistic-regression"), ("n", "mlp"), ("s", "svm")):
        assert rare("run", problem, *DATA, "--vary", "class-weights=none,balanced", "--lr", "0.1",
                    "--epochs", "3", "--name", name, "--quiet") == 0  # fmt: skip
        assert rare("show", name) == 0
        first, second, third, *_ = rare.out.splitlines()
        assert first.startswith("gd vanilla class_weights=none at learning rate 0.1 ends at")
        assert second.startswith("gd vanilla class_weights=balanced at learning rate 0.1 ends at")
        assert third == "These losses do not compare: their data or loss functions differ."
        assert "has the lowest loss" not in rare.out
    assert rare("report", "r", "-o", "r.html", "--quiet") == 0
    assert "These losses do not compare" in (rare.folder / "r.html").read_text(encoding="utf-8")


def test_losses_of_one_function_are_ranked(rare: Shell) -> None:
    assert rare("run", "mlp", *DATA, "--class-weights", "balanced", "--vary", "hidden=2,4",
                "--vary", "l2=0,0.1", "--epochs", "2", "--name", "r", "--quiet") == 0  # fmt: skip
    assert rare("show", "r") == 0
    assert "has the lowest loss" in rare.out.splitlines()[0]
    assert "do not compare" not in rare.out


def test_groups_in_which_nothing_falls_are_named(rare: Shell) -> None:
    assert rare("run", "softmax-regression", *DATA, "--vary", "class-weights=none,balanced",
                "--lr", "1e3", "--epochs", "1", "--name", "r", "--quiet") == 0  # fmt: skip
    assert rare("show", "r") == 0
    first, second, *_ = rare.out.splitlines()
    lowers = "No learning rate tried lowers the loss of gd vanilla class_weights"
    assert first.startswith(f"{lowers}=none: the best ends at ")
    assert second.startswith(f"{lowers}=balanced: the best ends at ")


def test_each_part_has_its_balanced_accuracy(shell: Shell) -> None:
    """A part that lacks a class has the mean over the others."""
    write(shell.folder / "f.csv", ["a"] * 20 + ["b"] * 10 + ["c"] * 10)
    write(shell.folder / "g.csv", ["a"] * 5 + ["b"] * 5)
    assert shell("run", "softmax-regression", *DATA, "--test-data", "g.csv", "--balanced-accuracy",
                 "--epochs", "2", "--name", "r", "--quiet") == 0  # fmt: skip
    assert shell("show", "r") == 0
    (line,) = [line for line in shell.out.splitlines() if line.startswith("Baseline")]
    assert "train balanced accuracy 0.3333, test balanced accuracy 0.5;" in line


def test_a_criterion_of_ones_own_has_the_share_of_the_largest_class(shell: Shell) -> None:
    text = NET.format(layer="nn.ReLU()")
    own = "    criterion = nn.CrossEntropyLoss(label_smoothing=0.1)\n\n    def load"
    write_code(shell.folder, "own.py", text.replace("    def load", own))
    assert shell("run", "./own.py", "--lr", "0.1", "--epochs", "2", "--name", "r", "--quiet") == 0
    assert shell("show", "r") == 0
    (line,) = [line for line in shell.out.splitlines() if line.startswith("Baseline")]
    assert re.fullmatch(
        r"Baseline: always answering class \d, .* has train accuracy [\d.]+\.", line
    )
    (line,) = shell.refuses("run", "./own.py", "--class-weights", "balanced")
    assert line.endswith("leave it out, or give the criterion its weight")
