"""Adding a problem, an optimizer or a schedule is one new file: all else finds it by itself."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.own_code import BOWL, RULE, SCHEDULE
from tests.unmeasured import unmeasured

ROOT = Path(__file__).parents[1]
TEXTS = {
    "problems/my_bowl.py": BOWL,
    "optimizers/my_rule.py": RULE,
    "schedules/my_fall.py": SCHEDULE,
}
SUMMARIES = {
    "problems my-bowl": "A bowl of one's own",
    "optimizers my-rule": "Descent by a share of the gradient",
    "schedules my-fall": "The rate halves every few steps",
}


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of gdcli and its tests, with one more file of each kind."""
    folder = tmp_path_factory.mktemp("copy")
    for part in ("gdcli", "tests", "docs"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    for name, text in TEXTS.items():
        (folder / "gdcli" / name).write_text(text)
    return folder


def run(folder: Path, *arguments: str) -> str:
    """Run Python on the copy; return what it printed."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=unmeasured(PYTHONPATH=str(folder)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_it_is_in_help_listings_and_docs(copy: Path) -> None:
    help_ = run(copy, "-m", "gdcli", "run", "--help")
    assert SUMMARIES["problems my-bowl"] in help_
    functions = help_.partition("  Functions (")[2].partition("  Linear models (")[0]
    assert "    my-bowl " in functions
    assert "--stiffness" in run(copy, "-m", "gdcli", "run", "my-bowl", "--help")
    run(copy, "docs/build.py", "pages")
    for names, summary in SUMMARIES.items():
        folder, name = names.split()
        assert summary in run(copy, "-m", "gdcli", folder)
        assert summary in run(copy, "-m", "gdcli", folder, name)
        assert summary in (copy / "pages" / folder / f"{name}.md").read_text()


def test_it_runs_and_keeps_every_law(copy: Path) -> None:
    rules = ("--optimizer", "my-rule,adam", "--schedule", "my-fall")
    printed = run(copy, "-m", "gdcli", "run", "my-bowl", *rules, "--epochs", "3")
    assert "my-rule" in printed
    for name in ("my-bowl", "my-rule", "my-fall"):
        assert "failed" not in run(copy, "-m", "gdcli", "check", name)


def test_the_contract_tests_find_it(copy: Path) -> None:
    files = ("tests/laws/test_laws.py", "tests/engine/test_contract.py")
    chosen = (
        "-k",
        "my-bowl and (law or vanilla or default) or my-rule and (law or bowl or beale) or my-fall",
    )
    printed = run(copy, "-m", "pytest", "-v", "-p", "no:cacheprovider", *files, *chosen)
    for name in ("my-bowl", "my-rule", "my-fall"):
        assert f"keeps_every_law[{name}] PASSED" in printed
    assert "equals_the_trial_alone[my-bowl-vanilla] PASSED" in printed
    assert "equals_the_trial_alone[beale-my-rule] PASSED" in printed
