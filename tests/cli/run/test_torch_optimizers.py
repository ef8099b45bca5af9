"""`--optimizer torch:NAME`: every class of torch.optim trains, or is refused before anything is."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

if TYPE_CHECKING:
    from tests.cli.command_line import Shell

CLASSES = [
    name
    for name, value in vars(torch.optim).items()
    if isinstance(value, type) and issubclass(value, torch.optim.Optimizer) and name != "Optimizer"
]
REFUSED = {"Muon": "Muon only supports 2D parameters", "SparseAdam": "not support dense gradients"}
PROBLEMS = {
    "quadratic": [],
    "linear-regression": ["--dataset", "diabetes"],
    "mlp": ["--dataset", "iris", "--hidden", "4"],
}


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("name", CLASSES)
def test_it_trains_or_is_refused_before_anything_is_written(
    shell: Shell, name: str, problem: str
) -> None:
    command = "run", problem, *PROBLEMS[problem], "--optimizer", f"torch:{name}", "--steps", "5"
    if name in REFUSED:
        (line,) = shell.refuses(*command)
        assert line.startswith(f"--optimizer: torch:{name} cannot train {problem}: ")
        assert REFUSED[name] in line
        advised = line.rpartition("; take ")[2]
        assert (
            shell("run", problem, *PROBLEMS[problem], "--optimizer", advised, "--steps", "5") == 0
        )
        return
    assert shell(*command, "--record", "step", "--name", "mine") == 0
    with Path("results/mine/curves.csv").open(encoding="utf-8") as file:
        losses = [float(row["train_loss"]) for row in csv.DictReader(file)]
    assert len(losses) == 6
    assert losses[-1] < losses[0]


def test_muon_trains_what_has_matrices_alone(shell: Shell) -> None:
    assert shell("run", "matrix-factorization", "--optimizer", "torch:Muon", "--steps", "2") == 0


@pytest.mark.parametrize("command", ["run", "lr-range", "landscape"])
def test_every_command_that_trains_refuses(shell: Shell, command: str) -> None:
    mlp = *("mlp", "--dataset", "iris"), *("--optimizer", "torch:Muon", "--epochs", "1")
    (line,) = shell.refuses(command, *mlp)
    assert "torch:Muon cannot train mlp: " in line


def test_a_shape_in_the_line_is_that_of_a_parameter(shell: Shell) -> None:
    (line,) = shell.refuses("run", "quadratic", "--dim", "37", "--optimizer", "torch:Muon")
    assert "torch.Size([37])" in line


def test_options_that_exclude_each_other_are_refused_and_the_defaults_advised(
    shell: Shell,
) -> None:
    (line,) = shell.refuses(
        *("run", "quadratic", "--optimizer", "vanilla,torch:SGD"),
        *("--vary", "torch:SGD.momentum=0,0.9", "--vary", "torch:SGD.nesterov=true,false"),
    )
    assert "torch:SGD cannot train quadratic: " in line
    assert "Nesterov momentum requires a momentum" in line
    assert line.endswith("; give torch:SGD other options: its defaults would do")
