"""What `gdcli` offers to Python: exactly what docs/python.md lists, and cheap to import."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import gdcli
from gdcli import Experiment, Run, run
from gdcli.experiment.grid import Axes
from gdcli.experiment.training import Training
from gdcli.fields import options_of
from gdcli.runs.options import RunOptions

PAGE = (Path(__file__).parents[2] / "docs" / "python.md").read_text()
NOT_FOR_PYTHON = {"resume", "executor", "ray-address", "shard", "fail-on"}
TABLE = re.findall(r"^\| (`.*?) \|", PAGE, flags=re.MULTILINE)


def test_the_public_names_are_those_of_the_page() -> None:
    listed = {name for cell in TABLE for name in re.findall(r"`(\w+)", cell)}
    assert listed == set(gdcli.__all__)
    assert set(gdcli.__all__) <= set(dir(gdcli))
    assert all(inspect.getdoc(getattr(gdcli, name)) for name in gdcli.__all__)


def test_the_public_attributes_are_those_of_the_page() -> None:
    (row,) = (line for line in PAGE.splitlines() if line.startswith("| `Run` |"))
    public = {name for name in {*vars(Run), *vars(Run(Path("x")))} if not name.startswith("_")}
    assert public == set(re.findall(r"`\.(\w+)`", row))
    (row,) = (line for line in PAGE.splitlines() if line.startswith("| `Experiment("))
    public = {name for name in vars(Experiment) if not name.startswith("_")}
    assert public == set(re.findall(r"`\.(\w+)\(", row))


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'gdcli' has no attribute 'rum'"):
        getattr(gdcli, "rum")  # noqa: B009 -- a type checker knows better


def test_every_option_of_a_grid_is_an_argument() -> None:
    given = set(inspect.signature(Experiment).parameters)
    fields = {option.field for part in (Axes, Training) for option in options_of(part).values()}
    assert given == {"problem", "vary", "zip", "options", *fields}


def test_every_option_of_a_run_is_an_argument_or_not_for_python() -> None:
    given = set(inspect.signature(run).parameters) - {"experiment", "quiet"}
    wanted = list(options_of(RunOptions).values())
    assert given == {option.field for option in wanted if option.name not in NOT_FOR_PYTHON}


def modules_after(code: str) -> set[str]:
    """Return the modules that a new process has imported after some code."""
    program = f"{code}; import sys; print(*sys.modules)"
    command = [sys.executable, "-S", "-c", program]
    path = {"PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=path)
    return set(done.stdout.split())


def test_importing_the_package_imports_nothing_else() -> None:
    assert modules_after("import gdcli") - modules_after("pass") == {"gdcli"}


def test_an_experiment_is_made_without_waiting_for_torch_or_pandas() -> None:
    code = "from gdcli import Experiment, load, run; Experiment('mlp', lr=[0.1])"
    assert not modules_after(code) & {"torch", "pandas", "matplotlib", "typer"}
