"""Parts of the command line that were made apart, used together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gdcli.runs.folder import State, state_of
from tests.runs.command import tables

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.command_line import Shell

RUN = ("run", "quadratic", "--optimizer", "vanilla,adam", "--epochs", "5", "--quiet")
REFERENCE = ("--engine", "reference")


def named(shell: Shell, name: str) -> Path:
    """Return the folder of a run."""
    return shell.folder / "results" / name


def test_the_reference_engines_runs_are_shared_merged_reused_and_verified(shell: Shell) -> None:
    few, all_of_them = (*RUN, *REFERENCE, "--lr", "0.1"), (*RUN, *REFERENCE, "--lr", "0.1,0.05")
    assert shell(*all_of_them, "--name", "whole") == 0
    whole = tables(named(shell, "whole"))
    for i in (1, 2):
        assert shell(*all_of_them, "--shard", f"{i}/2", "--name", f"part{i}") == 0
    assert shell("merge", "part1", "part2", "-o", "results/merged") == 0
    assert shell(*few, "--name", "few") == 0
    assert shell(*all_of_them, "--reuse", "few", "--workers", "2", "--name", "reused") == 0
    assert tables(named(shell, "merged")) == tables(named(shell, "reused")) == whole
    assert shell("verify", "merged", "--sample", "1") == 0
    assert "byte for byte" in shell.out


@pytest.mark.parametrize("command", [("merge", "a", "b", "-o", "c"), (*RUN, "--reuse", "b")])
def test_what_another_engine_computed_is_not_mixed_in(
    shell: Shell, command: tuple[str, ...]
) -> None:
    assert shell(*RUN, "--name", "a") == shell(*RUN, *REFERENCE, "--name", "b") == 0
    (error,) = shell.refuses(*command)
    assert ": engine " in error


def test_shards_may_reuse_another_run(shell: Shell) -> None:
    for lr, name in (("0.1", "few"), ("0.1,0.05", "whole")):
        assert shell(*RUN, "--lr", lr, "--name", name) == 0
    for i, workers in ((1, "1"), (2, "2")):
        part = ("--shard", f"{i}/2", "--workers", workers, "--reuse", "few", "--name", "parts")
        assert shell(*RUN, "--lr", "0.1,0.05", *part) == 0
    assert state_of(named(shell, "parts")) == State("complete", 2, 2)
    assert tables(named(shell, "parts")) == tables(named(shell, "whole"))
