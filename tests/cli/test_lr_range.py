"""`gdcli lr-range` on the command line."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from gdcli.cli.lr_range import DECIDED, Written
from gdcli.cli.screen import Screen
from gdcli.discovery import PROBLEMS
from gdcli.fields import options_of
from gdcli.studies.options import Machine, RangeTest
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
