"""Verdicts are found: one more file is one more word everywhere."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gdcli.analysis.diagnosis.verdict import (
    Limits,
    found,
    limits_class,
    qualities,
    states,
    verdicts,
)
from gdcli.fields import options_of
from tests.unmeasured import unmeasured

ROOT = Path(__file__).parents[3]
PLATEAU = '''
"""A loss that hardly left its start."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Gt

from gdcli.analysis.diagnosis.case import Case
from gdcli.analysis.diagnosis.verdict import TrialQuality, TrialState, number


@dataclass(frozen=True)
class OnAPlateau(TrialState):
    """The loss is near its start."""

    word = "on a plateau"
    order = 45
    sign, color = "-", "cyan"
    left: Annotated[float, "a loss above this share of its start counts as a plateau", Gt(0)] = 0.5

    def holds(self, case: Case) -> bool:
        return case.level > self.left * case.start

    def phrase(self, case: Case) -> str:
        return f"stays on a plateau at {number(case.level)}"

    def advice(self, case: Case) -> str:
        return "Use a larger learning rate: it is far too small."


class HighUp(TrialQuality):
    """The loss is above 1000."""

    word = "high up"
    order = 5

    def holds(self, case: Case) -> bool:
        return case.level > 1000

    def phrase(self, case: Case) -> str:
        return "is high up"
'''


def test_every_verdict_is_on_its_page() -> None:
    page = (ROOT / "docs" / "diagnosis.md").read_text(encoding="utf-8")
    for word, kind in found().items():
        assert f"| {word} | {kind.definition()} |\n" in page


def test_limits_are_those_that_verdicts_share_and_those_of_each() -> None:
    assert [*options_of(limits_class())] == ["near", "flat", "swing", "sure", "steep", "worse"]
    assert all(option.summary for option in options_of(limits_class()).values())


def test_a_verdict_has_the_limits_that_are_given() -> None:
    given = limits_class()(worse=0.25)  # type: ignore[call-arg]
    worse = [getattr(one, "worse", None) for one in verdicts(given).qualities]
    assert worse.count(0.25) == 2
    assert [getattr(one, "worse", None) for one in verdicts(Limits()).qualities].count(0.1) == 2


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a copy of gdcli that has one more file of verdicts."""
    folder = tmp_path_factory.mktemp("copy")
    shutil.copytree(
        ROOT / "gdcli", folder / "gdcli", ignore=shutil.ignore_patterns("__pycache__", "*.csv")
    )
    (folder / "gdcli/analysis/diagnosis/verdicts/plateau.py").write_text(PLATEAU)
    return folder


def run(folder: Path, *arguments: str, code: int = 0) -> str:
    """Run the command of the copy; return what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "gdcli", *arguments],
        cwd=folder,
        env=unmeasured(PYTHONPATH=str(folder), COLUMNS="100"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_one_more_file_is_one_more_word_everywhere(copy: Path) -> None:
    grid = ("run", "quadratic", "--lr", "0.0001,0.1", "--epochs", "20", "--name", "bowls")
    told = run(copy, *grid, "--fail-on", "on-a-plateau", code=1)
    assert "1 on-a-plateau of 2 trials: --fail-on makes the exit code 1" in told
    assert "0.0001 stays on a plateau at " in run(copy, "show", "bowls", "--format", "csv", *WHY)
    row, _ = json.loads(run(copy, "show", "bowls", "--format", "json", *WHY))
    assert (row["state"], row["on_a_plateau"], row["still_falling"]) == ("on a plateau", 1, 0)
    assert "larger learning rate: it is far too small" in row["explanation"]
    assert "on a plateau" in run(copy, "show", "bowls", *WHY)
    moved = run(copy, "show", "bowls", "--left", "100", *WHY)
    assert "on a plateau" not in moved
    assert "--left" in run(copy, "show", "--help")
    assert "give some of failed, diverged, blew-up" in run(
        copy, *grid[:2], "--fail-on", "zzz", code=2
    )
    assert "on-a-plateau" in run(copy, *grid[:2], "--fail-on", "on-a-platea", code=2)
    shown = run(copy, "run", "quadratic", "--lr", "1e-9", "--epochs", "9", "--name", "still")
    assert "- on a plateau" in shown
    run(copy, "report", "still", "-o", "still.html")
    assert "on a plateau" in (copy / "still.html").read_text(encoding="utf-8")


WHY = ("--view", "why")


def test_verdicts_have_no_word_twice() -> None:
    assert not {*states()} & {*qualities()}
    words = {word.replace(" ", "-") for word in found()}
    assert len(words) == len(found())
    assert not words & {"failed", "diverged", "none"}
