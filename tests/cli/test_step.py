"""`gdcli step` on the command line."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.command_line import Shell

BOWL = ("step", "(w - 2)**2", "--at", "w=5", "--lr", "0.1")


def test_one_step_by_hand(shell: Shell) -> None:
    assert shell(*BOWL, "--steps", "1") == 0
    header, row, said, *picture = shell.out.splitlines()
    assert header.split("  ")[0] == "step"
    assert row.split() == ["1", "w", "5", "9", "6", "0.6", "4.4"]
    assert said == "the loss fell from 9 to 5.76 in 1 step"
    assert sum(line.endswith("0··") for line in picture) == 1
    assert sum(line.endswith("··1") for line in picture) == 1
    assert any(line.split()[:2] == ["w", "2"] for line in picture)  # the minimum is in it
    assert not shell.err


def test_programs_get_all_digits(shell: Shell) -> None:
    assert shell(*BOWL, "--steps", "30", "--format", "csv") == 0
    rows = list(csv.DictReader(io.StringIO(shell.out)))
    assert len(rows) == 30
    assert float(rows[-1]["updated"]) == pytest.approx(2 + 3 * 0.8**30, rel=1e-14)
    assert shell(*BOWL, "--format", "json") == 0
    assert json.loads(shell.out)[0]["lr x gradient"] == 0.6000000000000001
    assert shell(*BOWL, "--format", "md") == 0
    assert shell.out.startswith("| step | weight |")


@pytest.mark.parametrize("more", [(), ("--explain",), ("--torch",)])
def test_a_page_is_written_beside_what_is_printed(shell: Shell, more: tuple[str, ...]) -> None:
    assert shell(*BOWL, *more) == 0
    printed = shell.out
    assert shell(*BOWL, *more, "-o", "step.html") == 0
    assert shell.out == printed
    assert shell.err.startswith("the page is in step.html (")
    page = (shell.folder / "step.html").read_text(encoding="utf-8")
    assert "<h1>Gradient descent on (w - 2)**2</h1>" in page
    assert shell(*BOWL, "-o", "step.html", "--quiet") == 0
    assert not shell.err


@pytest.mark.parametrize("file", ["step.pdf", "none/step.html", "step"])
def test_a_page_that_cannot_be_written_is_refused(shell: Shell, file: str) -> None:
    (error,) = shell.refuses(*BOWL, "-o", file)
    assert error.startswith(f"--output: '{file}' ")


def test_two_weights_are_a_map_and_three_a_curve(shell: Shell) -> None:
    assert shell("step", "x**2 + 10*y**2", "--at", "x=4", "--at", "y=1", "--steps", "12") == 0
    assert "y, upwards" in shell.out.splitlines()
    assert any(line.startswith("training loss: ") for line in shell.out.splitlines())
    assert shell("step", "x**2 + y**2 + z**2", "--at", "x=4", "--at", "y=1", "--at", "z=2") == 0
    assert " a loss" in shell.out.splitlines()


@pytest.mark.parametrize("lr", ["1.05", "3", "1e308"])
def test_a_step_too_large_is_said(shell: Shell, lr: str) -> None:
    assert shell("step", "(w - 2)**2", "--at", "w=5", "--lr", lr, "--steps", "9") == 0
    assert ("the loss rose from 9 to " in shell.out) == (lr != "1e308")
    assert ("diverged at step 1: " in shell.out) == (lr == "1e308")


@pytest.mark.parametrize(
    ("formula", "start", "where"),
    [("log(w)", "1", "-9"), ("sqrt(w)", "1", "-4"), ("w**0.5 + w", "1", "-14")],
)
def test_where_the_loss_has_no_value_the_gradient_has_none(
    formula: str, start: str, where: str, shell: Shell
) -> None:
    command = ("step", formula, "--at", f"w={start}", "--lr", "10", "--steps", "3")
    assert shell(*command, "--format", "json") == 0
    first, second = json.loads(shell.out)
    assert second["value"] == first["updated"] == float(where)
    assert {second[name] for name in ("loss", "gradient", "lr x gradient", "updated")} == {"nan"}
    assert shell(*command) == 0
    assert f"stopped at step 2: the loss is nan at w = {where}" in shell.out
    assert shell(*command[:-1], "1") == 0
    assert f"after 1 step the loss is nan at w = {where}" in shell.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("(w - 2)**2", "--at", "w=5", "--lr", "1", "--steps", "6"),
            "the loss stays at 9 in 6 steps, to and fro between w = 5 and w = -1",
        ),
        (
            ("x**2 - y**2", "--at", "x=1", "--at", "y=0", "--lr", "1", "--steps", "5"),
            "the loss stays at 1 in 5 steps, to and fro between x = 1, y = 0 and x = -1, y = 0",
        ),
        (("w**2", "--at", "w=0"), "the loss stays at 0 in 1 step: no step moves a weight"),
        (
            ("(w - 2)**2", "--at", "w=5", "--lr", "1e-12"),
            "the loss fell from 9 to 8.99999999996 in 1 step",
        ),
        (
            ("abs(w)", "--at", "w=0.25", "--lr", "0.5", "--steps", "3"),
            "to and fro between w = 0.25",
        ),
        (
            ("abs(w)", "--at", "w=1", "--lr", "1", "--steps", "1"),
            "the loss fell from 1 to 0 in 1 step",
        ),
    ],
)
def test_how_it_went_is_said(shell: Shell, arguments: tuple[str, ...], said: str) -> None:
    assert shell("step", *arguments) == 0
    assert said in shell.out


def test_a_stationary_point_shows_its_zeros(shell: Shell) -> None:
    for formula in ("w**2", "max(w, 0)"):
        assert shell("step", formula, "--at", "w=0") == 0
        header, row = (line.split("  ") for line in shell.out.splitlines()[:2])
        assert [cell.strip() for cell in header if cell] == [
            *("step", "weight", "value", "loss", "gradient", "lr x gradient", "updated")
        ]
        assert [cell.strip() for cell in row if cell][2:4] == ["0", "0"]
        assert shell("step", formula, "--at", "w=0", "--explain") == 0
        assert shell.out.splitlines()[0].split()[:4] == ["node", "is", "value", "gradient"]


def test_the_last_step_is_seen_where_many_are(shell: Shell) -> None:
    assert shell(*BOWL, "--steps", "300") == 0
    *picture, legend = shell.out.splitlines()
    assert legend.endswith("@ the last")
    assert sum(line.count("@") for line in picture) == 1


def test_a_flat_loss_and_a_loss_with_holes_are_drawn(shell: Shell) -> None:
    assert shell("step", "0*w + 3", "--at", "w=1", "--steps", "3") == 0
    assert "the loss stays at 3 in 3 steps: no step moves a weight" in shell.out
    assert shell("step", "log(w) + 1/w", "--at", "w=0.2", "--lr", "0.01", "--steps", "20") == 0
    assert shell("step", "sqrt(x) * y", "--at", "x=0.01", "--at", "y=1", "--steps", "2") == 0


def test_the_chain_rule_is_shown_and_checked(shell: Shell) -> None:
    assert shell(*BOWL, "--explain") == 0
    rows = [line.split() for line in shell.out.splitlines()[1:4]]
    assert [row[0] for row in rows] == ["v1", "v2", "v3"]
    assert "6 * 1 from v2" in shell.out
    assert "1, the loss itself" in shell.out
    assert "checked: central differences agree to " in shell.out
    assert shell("step", "abs(w)", "--at", "w=0", "--explain") == 0
    assert "checked: " in shell.out  # both say 0
    assert shell("step", "relu(w)", "--at", "w=0", "--explain") == 0
    assert "the loss has a kink or a jump near here" in shell.out


def test_the_script_runs_and_says_the_same(shell: Shell) -> None:
    assert shell(*BOWL, "--steps", "2", "--torch") == 0
    ran = subprocess.run(
        [sys.executable, "-c", shell.out], capture_output=True, text=True, check=True
    )
    assert ran.stdout.splitlines()[0] == "1 9.0 6.0 4.4"
    assert len(ran.stdout.splitlines()) == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("w**2",), "--at: w has no start; add --at w=1"),
        (("w**2", "--at", "w=1", "--at", "v=2"), "--at: 'v' is not in the formula; its weights "),
        (("w**2", "--at", "w=one"), "--at: 'w=one' is not a number; write w=1.5, say"),
        (("w**2", "--at", "w=nan"), "--at: 'w=nan' is not a number; "),
        (("w**2", "--at", "w"), "--at: 'w' is not a name and its values; write NAME=VALUES"),
        (("w**2", "--at", "w=1", "--at", "w=2"), "--at: 'w' is given twice; "),
        (("log(w)", "--at", "w=-1"), "--at: the loss is nan at w=-1; start where it is a number"),
        (("w**2", "--at", "w=1", "--steps", "0"), "--steps: 0 is less than 1; "),
        (("w**2", "--at", "w=1", "--steps", "10001"), "--steps: 10001 is more than 10000; "),
        (("w**2", "--at", "w=1", "--lr", "-1"), "--lr: -1.0 is not more than 0; "),
        (("w**2", "--at", "w=1", "--torch", "--explain"), "--torch: --explain prints something "),
        (("[red]w", "--at", "w=1"), "EXPRESSION: '[red]w' is not a formula"),
    ],
)
def test_a_mistake_is_one_line(shell: Shell, arguments: tuple[str, ...], said: str) -> None:
    (line,) = shell.refuses("step", *arguments)
    assert line.startswith(said)


def test_all_mistakes_are_told_together(shell: Shell) -> None:
    assert len(shell.refuses("step", "w^2", "--at", "w=x", "--steps", "0")) == 3


def test_a_formula_may_begin_with_a_minus(shell: Shell) -> None:
    assert shell("step", "--at", "w=1", "--", "-w**2 + w**4") == 0
