"""Every command in the README runs as it stands, and every transcript is what it prints."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from gdcli.cli.app import main

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


Run = Callable[[str], tuple[int, str, str]]


@pytest.fixture
def run(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return what runs a `gdcli` command as off a terminal 100 columns wide."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "100")

    def run(command: str) -> tuple[int, str, str]:
        program, *arguments = shlex.split(command)
        assert program == "gdcli"
        code = main(arguments)
        return code, *capsys.readouterr()

    return run


def test_there_are_commands() -> None:
    assert sum(block.count("$ gdcli") for block in BLOCKS) > 5


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.partition("\n")[0][2:40])
def test_the_commands_of_a_block_do_what_it_shows(block: str, run: Run) -> None:
    parts = block.removeprefix("$ ").split("\n$ ")
    for part in parts:
        command, _, shown = part.partition("\n")
        code, out, err = run(command)
        mistake = shown.startswith("error:")
        assert code == (2 if mistake else 0), err
        if shown.strip():
            assert (err if mistake else out).strip() == shown.strip()


def test_the_columns_that_are_explained_are_those_of_a_run(folder: Path, run: Run) -> None:
    assert run("gdcli run quadratic --name columns --quiet")[0] == 0
    header = (folder / "results/columns/curves.csv").read_text().partition("\n")[0]
    explained = re.findall(r"`(\w+)`", (ROOT / "docs" / "results.md").read_text())
    assert set(header.split(",")) <= set(explained)
