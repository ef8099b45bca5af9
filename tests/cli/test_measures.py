"""`--measure`: what it takes, and that a measure is one new file."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gdcli.catalog.catalog import MEASURES
from tests.unmeasured import unmeasured

if TYPE_CHECKING:
    from tests.cli.command_line import Shell

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


TWO = '''"""Two columns."""

from __future__ import annotations

from dataclasses import dataclass

from gdcli.measure import Column, Measure


@dataclass(frozen=True)
class Two(Measure):
    """Counts its points, and gives the loss with an error that is allowed."""

    columns = (
        Column("called", "whole", phrase="points before this one, none at the start"),
        Column("near_loss", phrase="about the loss", elsewhere="close", rtol=0.5),
    )

    def prepare(self, stack, params):
        """Return what counts."""
        return []

    def values(self, stack, params, evaluation, prepared):
        """Return the number of points so far, and the loss."""
        prepared.append(None)
        loss = evaluation.values["train_loss"]
        first = float("nan") if len(prepared) == 1 else len(prepared) - 1
        return {"called": 0 * loss + first, "near_loss": loss.astype("f8")}
'''
TAKEN = ("lr", "step", "examples", "grad_norm", "weight_decay", "train_accuracy", "near_loss")


def test_header_types_and_comparison_follow_from_its_declaration(copy: Copy) -> None:
    (copy.folder / "gdcli" / "measures" / "two.py").write_text(TWO)
    grid = ("--lr", "0.1,1", "--epochs", "2", "--dtype", "float32", "--quiet")
    done = copy("run", "linear-regression", *grid, "--measure", "two", "--name", "two")
    assert done.returncode == 0, done.stderr
    bare = copy("run", "linear-regression", *grid, "--name", "bare")
    assert bare.returncode == 0, bare.stderr
    lines, others = (
        (copy.folder / "results" / name / "curves.csv").read_text().splitlines()
        for name in ("two", "bare")
    )
    assert lines[0].split(",")[-2:] == ["called", "near_loss"]
    measured = [line.rsplit(",", 2)[0] for line in lines]  # the measure is part of the trial's id
    assert [line.partition(",")[2] for line in measured] == [
        line.partition(",")[2] for line in others
    ]
    assert [line.split(",")[-2] for line in lines[1:4]] == ["", "1", "2"]
    exported = json.loads(copy("export", "two", "--to", "json").stdout)
    assert exported["trials"][0]["curve"]["called"] == [None, 1, 2]
    asked = (
        "from pathlib import Path\nfrom gdcli.runs.folder import RunFolder\n"
        "table = RunFolder(Path('results/two')).table('curves.csv')\n"
        "print([(c.name, c.kind, c.elsewhere, c.rtol) for c in table.measures[-2:]])"
    )
    told = subprocess.run(
        [sys.executable, "-c", asked],
        cwd=copy.folder,
        env=unmeasured(PYTHONPATH=str(copy.folder)),
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.strip() == (
        "[('called', 'whole', 'any', None), ('near_loss', 'number', 'close', 0.5)]"
    )


@pytest.mark.parametrize("taken", TAKEN)
def test_a_column_that_is_there_already_is_refused_at_the_start(copy: Copy, taken: str) -> None:
    (copy.folder / "gdcli" / "measures" / "two.py").write_text(TWO)
    text = TWO.replace('"called"', f'"{taken}"')
    (copy.folder / "gdcli" / "measures" / "third.py").write_text(text)
    grid = ("--weight-decay", "0,0.1")
    taken_by = {
        "weight_decay": "a varied setting",
        "train_accuracy": "the problem",
        "near_loss": "two",
    }
    done = copy("run", "logistic-regression", *grid, "--measure", "two,third", "--name", "no")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    owner = taken_by.get(taken, "every run")
    assert f"--measure: {owner} has a column {taken} of its own; leave third out" in line
    assert not (copy.folder / "results" / "no").exists()
