"""`gdcli lr-range` on the command line."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from gdcli.cli.lr_range import DECIDED, LrRange, Written
from gdcli.cli.screen import Screen
from gdcli.discovery import PROBLEMS
from gdcli.fields import options_of
from gdcli.studies.options import Machine, RangeTest
from gdcli.training import Training
from tests.cli.command_line import Shell

BOWLS = ("lr-range", "quadratic", "--vary", "condition=10,100", "--optimizer", "vanilla,adam")


def test_the_table_says_what_was_found(shell: Shell) -> None:
    assert shell(*BOWLS) == 0
    lines = shell.out.splitlines()
    assert lines[1].split("  ")[0] == "setting"
    (row,) = [line for line in lines if line.startswith("gd vanilla condition=100")]
    assert row.split()[-2:] == ["0.02154", "0.02"]
    assert "limit: descent on all examples diverges above it" in shell.out
    assert " a gd vanilla condition=10.0" in lines
    assert not shell.err
    assert not list(Path().iterdir())


def test_the_other_forms_have_all_digits(shell: Shell) -> None:
    assert shell(*BOWLS, "--format", "json") == 0
    rows = json.loads(shell.out)
    assert [row["optimizer"] for row in rows] == ["vanilla", "adam", "vanilla", "adam"]
    assert rows[0]["limit"] == 0.2
    assert rows[0]["limit_is"] == "exact"
    assert rows[1]["limit"] is None
    assert shell(*BOWLS, "--format", "csv") == 0
    (first, *_) = csv.DictReader(io.StringIO(shell.out))
    assert float(first["diverges_from_lr"]) == rows[0]["diverges_from_lr"]
    assert shell(*BOWLS, "--format", "md") == 0
    assert shell.out.startswith("| method | batch_size | optimizer | condition | suggested_lr | ")


def test_every_loss_can_be_written(shell: Shell) -> None:
    command = ("lr-range", "quadratic", "--steps", "31", "--seed", "0,1", "--condition", "7")
    assert shell(*command, "-o", "rates.csv") == 0
    assert shell.errors == ["the losses at every rate are in rates.csv"]
    written = Path("rates.csv").read_bytes()
    rows = list(csv.DictReader(io.StringIO(written.decode())))
    assert [row["seed"] for row in rows] == ["0"] * 31 + ["1"] * 31
    assert rows[0]["lr"] == "1e-05"
    assert float(rows[30]["smooth_loss"]) == float("inf")
    assert any(row["held_loss"] for row in rows)
    assert shell(*command, "-o", "rates.csv", "--quiet") == 0
    assert not shell.err
    assert Path("rates.csv").read_bytes() == written


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
TEST = ("--steps", "31", "--diverge-at", "3", "--format", "csv", "-o", "rates.csv")


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
    assert len(of_pairs) == 3 * (2 * 31 + 1)


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
    names = "lr, schedule, epochs, record, tol, target-loss, measure, steps, diverge-at"
    assert f"Not read from it: {names}." in text
    assert all(f"--{option} " in shell.out for option in [*options_of(RangeTest), "set"])
    assert shell("lr-range", "--help") == 0
    assert "FILE.toml" in shell.out


def test_options_that_it_shares_with_a_grid_are_its_own() -> None:
    assert set(LrRange.own) == {*options_of(RangeTest)} & {*options_of(Training)}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("quadratci",), "gdcli lr-range: there is no problem 'quadratci'; did you mean"),
        (("quadratic", "--lr-to", "1e-6"), "--lr-to: 1e-06 is not above the 1e-05 of --lr-from"),
        (("quadratic", "--lr", "0.1"), "--lr: there is no such option; "),
        (("quadratic", "--steps", "2"), "--steps: 2 is less than 3; "),
        (("quadratic", "-o", "rates.txt"), "--output: 'rates.txt' does not end in .csv; "),
        (("quadratic", "-o", "no/rates.csv"), "--output: 'no/rates.csv' is in no folder that "),
        (("quadratic", "--method", "sgd"), "--method: sgd is the same as gd here: "),
        (("mlp", "--device", "tpu"), "--device: 'tpu' is no device; "),
        (("mlp", "--memory", "1kB"), "--memory: 1 trial of gd vanilla needs "),
    ],
)
def test_a_mistake_is_one_line(shell: Shell, arguments: tuple[str, ...], said: str) -> None:
    (line,) = shell.refuses("lr-range", *arguments)
    assert line.startswith(said)


@pytest.mark.parametrize("name", PROBLEMS.names())
def test_a_problem_s_options_are_its_own(name: str) -> None:
    classes = (RangeTest, Written, Machine, Screen)
    others = {option for cls in classes for option in options_of(cls)}
    assert not others & set(options_of(PROBLEMS.find(name, "")))


def test_the_help_leaves_out_what_the_test_decides(shell: Shell) -> None:
    assert shell("lr-range", "cnn", "--help") == 0
    assert not [option for option in DECIDED if f"--{option} " in shell.out]
    assert shell.out.count("--steps ") == shell.out.count("--diverge-at ") == 1
    assert "--momentum" not in shell.out
    assert all(f"--{option} " in shell.out for option in ("lr-from", "method", "seed", "output"))
