"""A file that is dropped into a folder of gdcli and is wrong: the error names its file and line."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from gdcli.catalog.classes import classes_by
from gdcli.errors import UserError
from gdcli.measure import Measure
from tests.unmeasured import unmeasured

PACKAGE = Path(__file__).parents[2] / "gdcli"
RUN = ("run", "quadratic", "--epochs", "2")
POINTS = {  # where a file goes, and the command that imports it
    "problems/wrong.py": ("run", "wrong"),
    "optimizers/wrong.py": (*RUN, "--optimizer", "wrong"),
    "schedules/wrong.py": (*RUN, "--schedule", "wrong"),
    "measures/wrong.py": (*RUN, "--measure", "wrong"),
    "executors/wrong.py": (*RUN, "--executor", "wrong"),
    "exports/to_wrong.py": ("export", "results/bowl", "--to", "wrong"),
    "report/views/wrong.py": ("show", "results/bowl"),
    "report/page/views/wrong.py": ("report", "results/bowl"),
    "analysis/diagnosis/verdicts/wrong.py": ("show", "results/bowl"),
}


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a copy of gdcli and a run."""
    folder = tmp_path_factory.mktemp("copy")
    shutil.copytree(PACKAGE, folder / "gdcli", ignore=shutil.ignore_patterns("__pycache__"))
    assert gdcli(folder, *RUN, "--name", "bowl") == (0, "")
    return folder


def gdcli(folder: Path, *arguments: str) -> tuple[int, str]:
    """Run the copy; return its exit code and what it said of a mistake."""
    done = subprocess.run(
        [sys.executable, "-B", "-m", "gdcli", *arguments],
        cwd=folder,
        env=unmeasured(PYTHONPATH=str(folder)),
        capture_output=True,
        text=True,
        check=False,
    )
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    return done.returncode, "\n".join(errors)


def told(folder: Path, name: str, text: str) -> str:
    """Return what the command says of a file with this text."""
    file = folder / "gdcli" / name
    file.write_text(text)
    try:
        code, error = gdcli(folder, *POINTS[name])
    finally:
        file.unlink()
    assert code == 2
    return error


@pytest.mark.parametrize("name", POINTS)
def test_what_importing_it_raises_has_its_place(copy: Path, name: str) -> None:
    # An executor is known by such a line.
    text = "class Executor: ...\n\n\nclass Wrong(Executor): ...\n\n\n"
    text += f'raise RuntimeError("{name}")\n'
    what = f"gdcli/{name}:7: importing it raised RuntimeError: {name}; correct the file"
    assert told(copy, name, text) == f"error: {what}"


CLASSES = {
    "executors/wrong.py": (
        "from gdcli.executors.supervisor import Executor\n\n\nclass Wrong(Executor):\n    pass\n",
        "4: its class Wrong lacks submit; see gdcli/executors/supervisor.py",
    ),
    "exports/to_wrong.py": (
        '"""Wrong."""\n',
        "1: it holds no exporter: no class of gdcli's Exporter; see gdcli/exports/exporter.py",
    ),
    "report/views/wrong.py": (
        (
            "from dataclasses import dataclass\n"
            "from gdcli.report.run_view import TableView\n\n\n"
            "@dataclass(frozen=True)\nclass Wrong(TableView):\n    near: float = 0.5\n\n"
            "    def table(self, folder, diagnoses):\n        return ((), ())\n"
        ),
        "5: its field near is an option of gdcli show already; give it another name",
    ),
    "report/page/views/wrong.py": (
        (
            "from gdcli.report.page.run_page import Content, PageView\n\n\n"
            'class Wrong(PageView):\n    title = "Wrong"\n\n'
            "    def content(self, run):\n        return Content()\n"
        ),
        "4: its class Wrong lacks name; see gdcli/report/page/run_page.py",
    ),
    "analysis/diagnosis/verdicts/wrong.py": (
        (
            "from gdcli.analysis.diagnosis.verdict import TrialQuality\n\n\n"
            'class Wrong(TrialQuality):\n    word = "wrong"\n\n'
            "    def holds(self, case):\n        return True\n"
        ),
        "4: its class Wrong lacks phrase, order; see gdcli/analysis/diagnosis/verdict.py",
    ),
    "measures/wrong.py": (
        (
            "from dataclasses import dataclass\nfrom gdcli.measure import Measure\n\n\n"
            "@dataclass(frozen=True)\nclass Wrong(Measure):\n"
            "    def values(self, stack, params, evaluation, prepared):\n        return {}\n"
        ),
        "5: its class Wrong lacks columns; see gdcli/measure.py",
    ),
}


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_that_is_not_complete_is_told(copy: Path, name: str) -> None:
    text, error = CLASSES[name]
    assert told(copy, name, text) == f"error: gdcli/{name}:{error}"


@pytest.mark.parametrize("name", ["problems/wrong.py", "exports/to_wrong.py"])
def test_what_is_not_python_is_told_by_the_help_too(copy: Path, name: str) -> None:
    (copy / "gdcli" / name).write_text('"""Fine."""\n\nx y\n')
    try:
        helped = gdcli(copy, POINTS[name][0], "--help")
    finally:
        (copy / "gdcli" / name).unlink()
    assert helped == (
        2,
        f"error: gdcli/{name}:3: it is not Python: invalid syntax; correct the file",
    )


def test_two_classes_with_one_name_are_told_with_both_places(tmp_path: Path) -> None:
    modules = []
    for name in ("first", "second"):
        module = ModuleType(name)
        module.__file__ = str(tmp_path / f"{name}.py")
        sys.modules[name] = module
        cls = type("Loss", (Measure,), {"columns": (), "values": None, "__module__": name})
        module.Loss = cls  # type: ignore[attr-defined]
        cls.word = "the same"  # type: ignore[attr-defined]
        modules.append(module)
    with pytest.raises(UserError, match=r"second.*its word 'the same' is also that of Loss.*first"):
        classes_by(modules, Measure, "word")
    assert list(classes_by(modules[:1], Measure, "word")) == ["the same"]
