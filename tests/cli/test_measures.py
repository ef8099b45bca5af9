"""`--measure`: what it takes, and that a measure is one new file."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from gdcli.catalog.catalog import MEASURES
from tests.cli.command_line import Shell
from tests.unmeasured import unmeasured

ROOT = Path(__file__).parents[2]
PARAM_NORM = '''"""Euclidean norm of the parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from gdcli.measure import Column, Measure
from gdcli.problem import Array, Params

if TYPE_CHECKING:
    from gdcli.engine.programs.program import Evaluation, Stack


@dataclass(frozen=True)
class ParamNorm(Measure):
    """The root of the sum of the squares of all parameters."""

    columns: ClassVar[tuple[Column, ...]] = (Column("param_norm", phrase="norm of the parameters"),)

    def values(
        self, stack: Stack, params: Params, evaluation: Evaluation, prepared: Any
    ) -> dict[str, Array]:
        """Return the norm over all parameters of each trial."""
        return {"param_norm": stack.norm(params)}
'''


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ("sharpnes", "there is no measure 'sharpnes'; did you mean 'sharpness'?"),
        ("./mine.py", "'./mine.py' is a file, not the name of a measure; give sharpness, or a"),
        ("sharpness,sharpness", "sharpness is named twice; name every measure once"),
        ("", "there is no measure ''; see: gdcli measures"),
    ],
)
def test_a_measure_that_is_not_there_is_refused(shell: Shell, given: str, error: str) -> None:
    (line,) = shell.refuses("run", "quadratic", "--measure", given)
    assert line.startswith(f"--measure: {error}")


def test_the_help_lists_every_measure(shell: Shell) -> None:
    assert shell("run", "quadratic", "--help") == 0
    text = " ".join(shell.out.split())
    for name in MEASURES.built_in():
        summary = MEASURES.summary(name)
        assert f"{name} ({summary[0].lower()}{summary[1:]})" in text


@dataclass(frozen=True)
class Copy:
    """A copy of gdcli that has one more file: a measure."""

    folder: Path

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of it."""
        return subprocess.run(
            [sys.executable, "-m", "gdcli", *arguments],
            cwd=self.folder,
            env=unmeasured(PYTHONPATH=str(self.folder)),
            capture_output=True,
            text=True,
            check=False,
        )

    def header(self, name: str) -> list[str]:
        """Return the columns of a run's curves."""
        text = (self.folder / "results" / name / "curves.csv").read_text()
        return text.partition("\n")[0].split(",")


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """Return the copy, with a run that has the measure."""
    folder = tmp_path_factory.mktemp("copy")
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "gdcli", folder / "gdcli", ignore=ignored)
    (folder / "gdcli" / "measures" / "param_norm.py").write_text(PARAM_NORM)
    copy = Copy(folder)
    grid = ("--lr", "0.1,1", "--seed", "0:2", "--epochs", "3", "--name", "one", "--quiet")
    done = copy("run", "linear-regression", *grid, "--measure", "param_norm")
    assert done.returncode == 0, done.stderr
    return copy


def test_a_measure_is_one_file(copy: Copy) -> None:
    assert copy.header("one")[-1] == "param_norm"
    said = "param-norm(euclideannormoftheparameters)"  # a line may end after the hyphen
    assert said in "".join(copy("run", "mlp", "--help").stdout.split())
    assert "param-norm" in copy("measures").stdout
    names, row = (
        line.split(",") for line in copy("show", "one", "--format", "csv").stdout.splitlines()
    )
    assert float(row[names.index("param_norm")]) > 0
    drawn = copy("plot", "one", "--metric", "param-norm", "-o", "norm.svg")
    assert drawn.returncode == 0, drawn.stderr
    assert copy("report", "one", "-o", "one.html").returncode == 0
    page = (copy.folder / "one.html").read_text()
    (held,) = re.findall(r'id="data">(.*)</script>', page)
    assert "param_norm" in [metric["name"] for metric in json.loads(held)["metrics"]]


def test_its_column_is_verified(copy: Copy) -> None:
    assert copy("verify", "one").returncode == 0
    shutil.copytree(copy.folder / "results/one", copy.folder / "results/other")
    curves = copy.folder / "results/other/curves.csv"
    lines = curves.read_text().splitlines()
    before, _, _ = lines[2].rpartition(",")
    curves.write_text("\n".join([*lines[:2], f"{before},7.5", *lines[3:]]) + "\n")
    assert copy("verify", "other").returncode == 3
    done = copy("verify", "one", "--against", "results/other")
    assert done.returncode == 3
    assert "param_norm" in done.stdout + done.stderr


def test_measures_can_be_taken_together(copy: Copy) -> None:
    grid = ("--lr", "0.1", "--epochs", "2", "--name", "both", "--quiet")
    done = copy("run", "linear-regression", *grid, "--measure", "sharpness,param-norm")
    assert done.returncode == 0, done.stderr
    assert copy.header("both")[-2:] == ["sharpness", "param_norm"]
