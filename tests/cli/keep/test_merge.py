"""`gdcli merge`: the parts of a run as one, or what is missing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.command_line import Shell

RUN = ("run", "quadratic", "--vary", "condition=10,20,30", "--lr", "0.1,0.05", "--quiet")


@pytest.fixture(autouse=True)
def _parts(shell: Shell) -> None:
    for i in (1, 2):
        assert shell(*RUN, "--shard", f"{i}/2", "--name", f"part{i}") == 0


def test_parts_are_merged_and_shown(shell: Shell) -> None:
    assert shell("merge", "part1", "results/part2", "-o", "results/all") == 0
    assert shell.errors == ["the results are in results/all"]
    merged = shell.out
    assert shell(*RUN, "--name", "whole") == 0
    assert shell("show", "whole") == 0
    assert shell.out == merged
    assert shell("verify", "all", "--against", "whole") == 0


def test_missing_trials_are_listed_with_exit_code_1(shell: Shell) -> None:
    assert shell("merge", "part2", "-o", "all", "--format", "json") == 1
    assert [row["condition"] for row in json.loads(shell.out)] == [10.0, 10.0, 30.0, 30.0]
    (error,) = shell.errors
    assert error.startswith("error: all: 4 trials are missing; ")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("part1", "part3", "-o", "all"), "'part3': there is no such run; did you mean "),
        (("part1",), "gdcli merge: --output is missing; "),
        (("-o", "all"), "gdcli merge: DIR is missing; "),
    ],
)
def test_a_mistake_is_one_line(shell: Shell, arguments: tuple[str, ...], line: str) -> None:
    (error,) = shell.refuses("merge", *arguments)
    assert error.startswith(line)
