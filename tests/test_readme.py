"""Every command in the README runs as it stands, and every transcript is what it prints."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BLOCKS = re.findall(r"```console\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a working directory with experiments and data, shared by the blocks in their order."""
    path = tmp_path_factory.mktemp("readme")
    shutil.copytree(ROOT / "experiments", path / "experiments")
    data = Path("gdcli", "datasets")
    shutil.copytree(ROOT / data, path / data, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    return path


def run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a `gdcli` command as a user would, off a terminal 100 columns wide."""
    program, *arguments = shlex.split(command)
    assert program == "gdcli"
    return subprocess.run(
        [sys.executable, "-m", "gdcli", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "100"},
    )


def test_there_are_commands() -> None:
    assert sum(block.count("$ gdcli") for block in BLOCKS) > 5


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.partition("\n")[0][2:40])
def test_the_commands_of_a_block_do_what_it_shows(block: str, folder: Path) -> None:
    parts = block.removeprefix("$ ").split("\n$ ")
    for part in parts:
        command, _, shown = part.partition("\n")
        done = run(command, folder)
        mistake = shown.startswith("error:")
        assert done.returncode == (2 if mistake else 0), done.stderr
        if shown.strip():
            assert (done.stderr if mistake else done.stdout).strip() == shown.strip()


def test_the_columns_that_are_explained_are_those_of_a_run(folder: Path) -> None:
    run("gdcli run quadratic --name columns --quiet", folder)
    header = (folder / "results/columns/curves.csv").read_text().partition("\n")[0]
    explained = re.findall(r"`(\w+)`", (ROOT / "docs" / "results.md").read_text())
    assert set(header.split(",")) <= set(explained)
