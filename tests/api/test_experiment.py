"""Experiments said in Python are those that a command line says, down to the bits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given

from gdcli import Experiment, UserError
from gdcli.experiment.toml import loads
from tests.experiments import experiments
from tests.grids import experiment as typed

if TYPE_CHECKING:
    from gdcli.experiment import experiment
    from tests.cli.command_line import Shell


@pytest.mark.parametrize(
    "lr",
    [[0.1, 0.01], (0.1, 0.01), "0.1,0.01", np.array([0.1, 0.01]), iter([0.1, np.float64(0.01)])],
)
def test_an_axis_is_said_in_many_ways(lr: Any) -> None:
    assert Experiment("quadratic", lr=lr).grid.axes.lr == (0.1, 0.01)


def test_whole_numbers_may_be_numpys_or_a_range() -> None:
    made = Experiment("quadratic", seed=np.arange(3), epochs=7, record=2)
    assert made.hash == typed("quadratic", seed="0:2", epochs="7", record="2").hash
    assert Experiment("quadratic", seed=range(3), epochs=7, record="2").hash == made.hash


def test_options_vary_and_zip_are_those_of_the_command_line() -> None:
    made = Experiment(
        "quadratic",
        dim=3,
        optimizer=["momentum", "vanilla"],
        lr="log:1e-3:1:3",
        vary={"momentum.beta": [0.1, 0.2, 0.3], "noise": 0.5},
        zip=["lr,momentum.beta"],
    )
    options = {
        "vary": {"momentum.beta": "0.1,0.2,0.3", "noise": "0.5"},
        "zip": ["lr,momentum.beta"],
    }
    wanted = typed(
        "quadratic", {"dim": "3"}, optimizer="momentum,vanilla", lr="log:1e-3:1:3", **options
    )
    assert made.hash == wanted.hash
    assert made.tables() == wanted.tables()


@given(experiments())
def test_any_experiment_is_its_repr(drawn: experiment.Experiment) -> None:
    tables = drawn.tables()
    name = tables["problem"].pop("name")
    words = {**tables["problem"], **tables["grid"]}
    made = Experiment(
        name, vary=tables["vary"], **{n.replace("-", "_"): v for n, v in words.items()}
    )
    assert made.hash == drawn.hash
    assert eval(repr(made)).hash == drawn.hash  # noqa: S307 -- our own


def test_an_experiment_goes_to_a_file_and_back(tmp_path: Path) -> None:
    made = Experiment("linear-regression", data=Path("diabetes.csv"), target="y", scale="minmax")
    file = tmp_path / "a.toml"
    file.write_text(made.to_toml())
    assert loads(made.to_toml(), file).hash == made.hash
    read = Experiment.from_file(file)
    assert (type(read), read, read.hash) == (Experiment, made, made.hash)


@pytest.mark.parametrize(
    ("wrong", "arguments"),
    [
        ({"lr": "0.1,x"}, ("--lr", "0.1,x")),
        ({"lr": "0"}, ("--lr", "0")),
        ({"optimizer": "admw"}, ("--optimizer", "admw")),
        ({"dim": "0"}, ("--dim", "0")),
        ({"vary": {"conditoin": "1,2"}}, ("--vary", "conditoin=1,2")),
        ({"epochs": "3", "steps": "4"}, ("--epochs", "3", "--steps", "4")),
        ({"zip": "lr,seed", "lr": "1,2,3"}, ("--zip", "lr,seed", "--lr", "1,2,3")),
        ({"seed": "x", "lr": "y"}, ("--seed", "x", "--lr", "y")),
    ],
)
def test_mistakes_are_told_in_the_command_lines_words(
    shell: Shell, wrong: dict[str, Any], arguments: tuple[str, ...]
) -> None:
    with pytest.raises(UserError) as raised:
        Experiment("quadratic", **wrong)
    assert sorted(shell.refuses("run", "quadratic", *arguments)) == sorted(raised.value.lines)


def test_a_problem_and_an_option_that_are_not_there_are_told() -> None:
    with pytest.raises(UserError, match="problem: there is no problem 'quadratci'; did you mean"):
        Experiment("quadratci")
    with pytest.raises(UserError, match="--dimm: 'dimm' is not an option here; did you mean 'dim'"):
        Experiment("quadratic", dimm=3)
