"""A command that prints a run reads each of its tables once."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from gdcli import door

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cli.command_line import Shell

TABLES = ("curves.csv", "summary.csv")
BOWL = ("quadratic", "--lr", "0.1,0.5,3", "--seed", "0:2", "--steps", "9", "--name", "bowl")
NET = ("mlp", "--dataset", "iris", "--lr", "0.1,1", "--epochs", "3", "--measure", "sharpness")


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count how often each table of a finished run was read."""
    found: Counter[str] = Counter()
    parts = door.parts

    def counting(file: Path) -> Iterator[bytes]:
        found[file.name] += 1
        return parts(file)

    monkeypatch.setattr(door, "parts", counting)
    return found


@pytest.mark.parametrize("given", [BOWL, (*NET, "--name", "net")], ids=["bowl", "net"])
def test_a_run_reads_each_table_once(
    shell: Shell, read: Counter[str], given: tuple[str, ...]
) -> None:
    assert shell("run", *given, "--fail-on", "failed,flat") in (0, 1)
    assert "Why" in shell.out
    assert {name: read[name] for name in TABLES} == dict.fromkeys(TABLES, 1)
    read.clear()
    assert shell("show", given[-1]) == 0
    assert {name: read[name] for name in TABLES} == dict.fromkeys(TABLES, 1)
    read.clear()
    assert shell("report", given[-1]) == 0
    assert read["curves.csv"] == 1  # summary.csv is copied onto the page besides, part by part


def test_failures_beside_another_form_are_no_second_reading(
    shell: Shell, read: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ValueError("broken")

    monkeypatch.setattr("gdcli.problems.quadratic.Quadratic.init", broken)
    assert shell("run", *BOWL, "--format", "json") == 1
    assert "9 failed: " in shell.err
    assert read == {"summary.csv": 1}


def test_a_quiet_run_reads_nothing(shell: Shell, read: Counter[str]) -> None:
    assert shell("run", *BOWL, "--quiet") == 0
    assert not read
