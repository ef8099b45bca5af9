"""`gdcli lr-range` on the command line."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gdcli.catalog.catalog import PROBLEMS
from gdcli.cli.options import Screen
from gdcli.cli.studies import lr_range
from gdcli.experiment.training import Training
from gdcli.fields import options_of
from gdcli.studies.options import Compute, RangeTest

if TYPE_CHECKING:
    from tests.cli.command_line import Shell

BOWLS = ("lr-range", "quadratic", "--vary", "condition=10,100", "--optimizer", "vanilla,adam")


def test_a_sentence_a_setting_comes_first(shell: Shell) -> None:
    assert shell(*BOWLS) == 0
    lines = shell.out.splitlines()
    assert lines[0].startswith("gd vanilla condition=10.0: use 0.1 (good: 0.01 to 0.1; unstable ")
    assert lines[2] == (
        "gd vanilla condition=100.0: use 0.01 (good: 0.0003 to 0.01; unstable from 0.03)"
    )
    assert "Each rate is held from the start for 50 steps. Losses are medians over" in shell.out
    theory = "in theory gd vanilla condition=100.0 converges below 0.02, and diverges above it"
    assert theory in lines
    assert any(line.split()[:4] == ["0.01", "0.1831", "good", "1.585"] for line in lines)
    assert not shell.err
    assert not list(Path().iterdir())


def test_of_one_setting_the_sentence_stands_alone(shell: Shell) -> None:
    assert shell("lr-range", "quadratic", "--condition", "100", "--seed", "4") == 0
    first, *rest = shell.out.splitlines()
    assert first == "use 0.01 (good: 0.0003 to 0.01; unstable from 0.03)"
    assert "Each rate is held from the start for 50 steps. The seed is 4." in rest
    assert "unstable: the loss ends above 2 times that at the start" in rest
    assert "in theory descent converges below 0.02, and diverges above it" in rest
    rows = [line.split() for line in rest if line.split()[2:] == ["use"]]
    assert [row[0] for row in rows] == ["0.01"]


def test_the_other_forms_have_the_same_facts(shell: Shell) -> None:
    assert shell(*BOWLS, "--format", "json") == 0
    rows = json.loads(shell.out)
    assert [row["optimizer"] for row in rows] == ["vanilla", "adam", "vanilla", "adam"]
    assert rows[0]["limit"] == 0.2
    assert rows[0]["limit_is"] == "exact"
    assert rows[1]["limit"] is None
    facts = ("suggested", "good_from", "good_to", "unstable_from")
    assert [rows[2][name] for name in facts] == [0.01, 0.0003, 0.01, 0.03]
    assert rows[2]["answer"] == "use 0.01 (good: 0.0003 to 0.01; unstable from 0.03)"
    assert rows[2]["reason"] == (
        "below the first unstable rate it ends at the lowest training loss after 50 steps, "
        "median of 3 seeds"
    )
    assert shell(*BOWLS, "--format", "csv") == 0
    (first, *_) = csv.DictReader(io.StringIO(shell.out))
    assert float(first["unstable_from"]) == rows[0]["unstable_from"]
    assert shell(*BOWLS, "--format", "md") == 0
    assert shell.out.startswith("| method | batch_size | optimizer | condition | suggested | ")


def test_what_hinders_is_said_in_every_form(shell: Shell) -> None:
    still = ("lr-range", "expression", "--formula", "(w - 2)**2", "--start", "2")
    assert shell(*still) == 0
    (said, *_) = shell.out.splitlines()
    assert said.startswith("no rate can be used: ")
    assert shell(*still, "--format", "json") == 0
    (row,) = json.loads(shell.out)
    assert row["suggested"] is row["good_from"] is row["unstable_from"] is None
    assert row["answer"] == said
    assert row["reason"] == said.removeprefix("no rate can be used: ")


def test_every_loss_can_be_written(shell: Shell) -> None:
    command = ("lr-range", "quadratic", "--ramp", "31", "--seed", "0,1", "--condition", "7")
    assert shell(*command, "-o", "rates.csv") == 0
    assert shell.errors == ["written: rates.csv"]
    written = Path("rates.csv").read_bytes()
    rows = list(csv.DictReader(io.StringIO(written.decode())))
    ramps = [row for row in rows if row["smooth_loss"]]
    assert [row["seed"] for row in ramps] == ["0"] * 31 + ["1"] * 31
    assert ramps[0]["lr"] == "1e-05"
    assert float(ramps[30]["smooth_loss"]) == float("inf")
    held = [float(row["lr"]) for row in rows if row["held_loss"] and row["seed"] == "1"]
    assert held == sorted(held)
    assert {0.01, 0.03, 0.1, 0.3} <= set(held)
    assert shell(*command, "-o", "rates.csv", "--quiet") == 0
    assert not shell.err
    assert Path("rates.csv").read_bytes() == written


def test_pictures_and_a_page_are_written(shell: Shell) -> None:
    files = ("a.png", "a.svg", "a.html")
    outputs = [part for file in files for part in ("-o", file)]
    name = ("--vary", "condition=10,20", "--optimizer", "vanilla,momentum")
    assert shell("lr-range", "quadratic", *name, *outputs, "--format", "csv") == 0
    assert shell.errors == [f"written: {file}" for file in files]
    starts = {"a.png": b"\x89PNG", "a.html": b"<!doctype html>"}
    assert all(Path(file).read_bytes().startswith(start) for file, start in starts.items())
    drawing = Path("a.svg").read_text(encoding="utf-8")
    assert "learning rate" in drawing
    assert "training loss at the end" in drawing
    said = [row["answer"] for row in csv.DictReader(io.StringIO(shell.out))]
    page = Path("a.html").read_text(encoding="utf-8")
    assert all(f": {answer}</p>" in page for answer in said)
    assert not re.search(r'(?:src|href)="http', page)
    assert len(page) < 200_000
    same = Path("a.html").read_bytes()
    assert shell("lr-range", "quadratic", *name, "-o", "a.html", "--quiet") == 0
    assert Path("a.html").read_bytes() == same


NET = """\
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from torch import nn

from gdcli.problem import Data, Network


class Refusing(nn.Linear):
    def forward(self, x):
        if float(self.weight.detach().abs().max()) > self.most:
            raise ValueError("a weight is <too> large")
        return super().forward(x)


@dataclass(frozen=True)
class Raising(Network):
    \"\"\"A layer that takes small weights alone.\"\"\"

    most: Annotated[float, "largest weight"] = 3.0
    criterion: ClassVar[str] = "mse"
    vectorized: ClassVar[bool] = False
    default_epochs: ClassVar[int] = 5

    def load(self, rng):
        x = rng.standard_normal((33, 3))
        return Data(train={"x": x, "y": x[:, :1] - 2 * x[:, 1:2]})

    def module(self, data):
        layer = Refusing(3, 1)
        layer.most = self.most
        return layer
"""


def test_rates_at_which_trials_raise_are_no_suggestion(shell: Shell) -> None:
    net = "./" + shell.write("raising.py", NET)
    quick = ("--seed", "0,1", "--ramp", "9", "--format", "json")
    assert shell("lr-range", net, *quick) == 1
    (row,) = json.loads(shell.out)
    assert row["suggested"] < row["unstable_from"]
    assert f"trials fail from {row['unstable_from']:g})" in row["answer"]
    assert "left out: " in shell.errors[-1]
    assert shell.errors[-1].endswith("ValueError: a weight is <too> large")
    assert sum("cannot be stacked" in line for line in shell.errors) == 1
    assert shell("lr-range", net, "--most", "0", *quick) == 1
    assert shell.errors[-1] == (
        "error: no trial could be trained: ValueError: a weight is <too> large"
    )


FILE = """\
[problem]
name = "mlp"
dataset = "iris"

[grid]
method = "minibatch"
batch-size = 8
optimizer = ["momentum", "adam"]
schedule = ["cosine", "constant"]
lr = [0.1, 0.2]
seed = [0, 1]
zip = ["lr,seed", "optimizer,schedule,activation"]
steps = 7
record = "3"
tol = 0.3
target-loss = 0.5
diverge-at = 50
measure = "sharpness"
order = "fixed"
data-seed = 1

[grid.vary]
activation = ["relu", "tanh"]
"momentum.beta" = [0.5, 0.9]
"cosine.final" = [0.1, 0.2]
"""
IRIS = ("mlp", "--dataset", "iris", "--order", "fixed", "--data-seed", "1", "--seed", "0,1")
TEST = ("--ramp", "31", "--steps", "31", "--diverge-at", "3", "--format", "csv", "-o", "rates.csv")


def losses_of(shell: Shell, *arguments: str) -> list[dict[str, str]]:
    """Return the losses at every rate, and at the end what is printed, each with its settings."""
    assert shell("lr-range", *arguments, *TEST) == 0
    printed = [*csv.DictReader(io.StringIO(shell.out))]
    return [*csv.DictReader(io.StringIO(Path("rates.csv").read_text())), *printed]


def test_an_experiment_file_says_the_same(shell: Shell) -> None:
    file = shell.write("iris.toml", FILE)
    batches = ("--method", "minibatch", "--batch-size", "8")
    vary = ("--vary", "activation=relu,tanh", "--vary", "momentum.beta=0.5,0.9")
    every = losses_of(shell, *IRIS, *batches, "--optimizer", "momentum,adam", *vary)
    pairs = {("momentum", "relu"), ("adam", "tanh")}  # they are zipped; lr and schedule count not
    of_pairs = [row for row in every if (row["optimizer"], row["activation"]) in pairs]
    assert losses_of(shell, file) == of_pairs
    printed = [row for row in of_pairs if "answer" in row]
    assert len(printed) == 3
    assert {row["seed"] for row in of_pairs if "seed" in row} == {"0", "1"}


def test_what_is_set_replaces_what_the_file_says(shell: Shell) -> None:
    file = shell.write("bowl.toml", '[problem]\nname = "quadratic"\n[grid]\nlr = [1.0, 9.0]\n')
    set_ = ("--set", "condition=7", "--set", "optimizer=adam,vanilla", "--set", "seed=3")
    typed = ("quadratic", "--condition", "7", "--optimizer", "adam,vanilla", "--seed", "3")
    assert losses_of(shell, file, *set_) == losses_of(shell, *typed)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("lr", "gdcli lr-range takes no lr from a file; leave it out"),
        ("grid.target_loss", "gdcli lr-range takes no target-loss from a file; leave it out"),
        ("epochs", "gdcli lr-range takes no epochs from a file; give --epochs"),
        ("steps", "gdcli lr-range takes no steps from a file; give --steps"),
        ("diverge_at", "gdcli lr-range takes no diverge-at from a file; give --diverge-at"),
    ],
)
def test_what_would_not_count_is_not_set(shell: Shell, name: str, said: str) -> None:
    file = shell.write("bowl.toml", '[problem]\nname = "quadratic"\n[grid]\nepochs = 2\n')
    assert shell.refuses("lr-range", file, "--set", f"{name}=3") == [f"--set {name}: {said}"]
    both = shell.refuses("lr-range", file, "--set", f"{name}=x", "--set", "dim=0")
    assert [line.partition(":")[0] for line in both] == [f"--set {name}", "--set dim"]


def test_a_mistake_in_a_file_has_its_line(shell: Shell) -> None:
    file = shell.write("iris.toml", FILE.replace("[0.1, 0.2]\nseed", "[0, 0.2]\nseed"))
    (error,) = shell.refuses("lr-range", file)
    assert error.startswith("iris.toml:10: lr: 0.0 is not more than 0; ")
    lines = shell.refuses("lr-range", "none.toml", "--lr-to", "1e-6", "-o", "rates.txt")
    assert [line.partition(":")[0] for line in lines] == ["--lr-to", "--output", "none.toml"]
    (error,) = shell.refuses("lr-range", file, "--lr", "0.1")
    assert error.startswith("--lr: there is no such option; ")


def test_the_help_says_what_of_a_file_does_not_count(shell: Shell) -> None:
    assert shell("lr-range", "iris.toml", "--help") == 0
    text = " ".join(shell.out.split())
    names = "lr, schedule, record, tol, target-loss, measure, epochs, steps, diverge-at"
    assert f"Not read from it: {names}." in text
    assert all(f"--{option} " in shell.out for option in [*options_of(RangeTest), "set"])
    assert shell("lr-range", "--help") == 0
    assert "FILE.toml" in shell.out


def test_options_that_it_shares_with_a_grid_are_its_own() -> None:
    assert set(lr_range.asks.replaced) == {*options_of(RangeTest)} & {*options_of(Training)}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("quadratci",), "gdcli lr-range: there is no problem 'quadratci'; did you mean"),
        (("quadratic", "--lr-to", "1e-6"), "--lr-to: 1e-06 is not above the 1e-05 of --lr-from"),
        (("quadratic", "--lr", "0.1"), "--lr: there is no such option; "),
        (("quadratic", "--vary", "steps=2,3"), "--vary: gdcli lr-range does not vary steps; give"),
        (("quadratic", "--ramp", "2"), "--ramp: 2 is less than 3; "),
        (("quadratic", "--steps", "2", "--epochs", "3"), "--steps: both epochs (3) and steps (2) "),
        (("quadratic", "-o", "rates.txt"), "--output: 'rates.txt' does not end in .csv, .png, "),
        (("quadratic", "-o", "no/rates.csv"), "--output: 'no/rates.csv' is in no folder that "),
        (("quadratic", "--method", "sgd"), "--method: sgd is the same as gd here: "),
        (("mlp", "--device", "tpu"), "--device: 'tpu' is not a device; "),
        (("mlp", "--memory", "1kB", "--seed", "0"), "--memory: a trial of gd vanilla needs "),
    ],
)
def test_a_mistake_is_one_line(shell: Shell, arguments: tuple[str, ...], said: str) -> None:
    (line,) = shell.refuses("lr-range", *arguments)
    assert line.startswith(said)


@pytest.mark.parametrize("name", PROBLEMS.names())
def test_a_problem_s_options_are_its_own(name: str) -> None:
    classes = (RangeTest, Compute, Screen)
    others = {option for cls in classes for option in options_of(cls)}
    assert not others & set(options_of(PROBLEMS.find(name, "")))


def test_the_help_leaves_out_what_the_test_decides(shell: Shell) -> None:
    assert shell("lr-range", "cnn", "--help") == 0
    assert not [option for option in lr_range.asks.fixed if f"--{option} " in shell.out]
    assert shell.out.count("--steps ") == shell.out.count("--diverge-at ") == 1
    assert "--momentum" not in shell.out
    assert all(f"--{option} " in shell.out for option in ("lr-from", "method", "seed", "output"))
