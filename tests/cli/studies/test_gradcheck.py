"""`gdcli gradcheck` on the command line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.grids import TRAINABLE

if TYPE_CHECKING:
    from tests.cli.command_line import Shell

SMALL = {
    "mlp": ("--dataset", "iris", "--hidden", "5", "--activation", "tanh"),
    "cnn": ("--examples", "20", "--channels", "2"),
    "autoencoder": (
        "--dataset",
        "iris",
    ),
}
WRONG = '''"""A bowl whose gradient is half of what it says."""

from dataclasses import dataclass

from gdcli.problem import Surface


@dataclass(frozen=True)
class Wrong(Surface):
    """A bowl."""

    def height(self, x, y):
        return x * x + y * y

    def slopes(self, x, y):
        return x, 2 * y
'''


@pytest.mark.parametrize("name", [n for n in TRAINABLE if n != "char-lm"])
def test_every_gradient_is_that_of_its_loss(name: str, shell: Shell) -> None:
    command = ("gradcheck", name, *SMALL.get(name, ()), "--entries", "5", "--format", "json")
    assert shell(*command) == 0
    rows = json.loads(shell.out)
    assert all(0 < row["checked"] <= 5 for row in rows)
    assert all(isinstance(row["relative difference"], float) for row in rows)


def test_the_table_names_every_parameter(shell: Shell) -> None:
    assert shell("gradcheck", "mlp", *SMALL["mlp"]) == 0
    rows = [line.split() for line in shell.out.splitlines()[1:6]]
    assert [row[:3] for row in rows] == [
        ["0.weight", "5x4", "20"],
        ["0.bias", "5", "5"],
        ["2.weight", "3x5", "15"],
        ["2.bias", "3", "3"],
        ["random", "direction", "43"],
    ]
    assert {row[-1] for row in rows} == {"yes"}
    assert not shell.err


@pytest.mark.parametrize("name", ["mlp", "cnn", "char-lm"])
def test_the_defaults_pass(name: str, shell: Shell) -> None:
    assert shell("gradcheck", name, "--entries", "8") == 0


def test_a_kink_is_named(shell: Shell) -> None:
    assert shell("gradcheck", "expression", "--formula", "abs(w) + v", "--start", "0,1") == 0
    assert "point[0]: the loss has a kink within the step" in shell.out
    assert "quotient is -1 on the left and 1 on the right" in shell.out


def test_a_wrong_gradient_is_found(shell: Shell) -> None:
    file = shell.write("wrong.py", WRONG)
    assert shell("gradcheck", f"./{file}") == 1
    (row,) = [line.split() for line in shell.out.splitlines()[1:2]]
    assert row[0] == "point"
    assert row[-1] == "no"
    assert float(row[3]) == 1.0
    assert float(row[4]) == 2.0
    assert "the gradient is wrong, or the loss" in shell.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("quadratci",), "gdcli gradcheck: there is no problem 'quadratci'; did you mean"),
        (("quadratic", "--entries", "0"), "--entries: 0 is less than 1; "),
        (("quadratic", "--tolerance", "0"), "--tolerance: 0.0 is not more than 0; "),
        (("rosenbrock", "--start", "1e200,1"), "gdcli gradcheck: the loss is inf at the start; "),
        (("mlp", "--quantize", "qat"), "--quantize: the slopes of rounding pass straight through "),
        (("quadratic", "--lr", "1"), "--lr: there is no such option; "),
    ],
)
def test_a_mistake_is_one_line(shell: Shell, arguments: tuple[str, ...], said: str) -> None:
    (line,) = shell.refuses("gradcheck", *arguments)
    assert line.startswith(said)
