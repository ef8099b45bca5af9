"""`gdcli verify`: what it prints, and the exit codes a pipeline goes by."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from tests.cli.command_line import Shell, gdcli

if TYPE_CHECKING:
    from pathlib import Path

RUN = ("run", "quadratic", "--lr", "0.1,0.05", "--epochs", "3", "--quiet", "--name")


@pytest.fixture
def bowl(shell: Shell) -> Path:
    """Return the folder of a run named bowl."""
    assert shell(*RUN, "bowl") == 0
    return shell.folder / "results" / "bowl"


def test_a_sound_run_is_told_and_ends_with_0(shell: Shell, bowl: Path) -> None:
    assert shell("verify", "bowl", "--quiet") == 0
    assert [line.split()[0] for line in shell.out.splitlines()] == [
        *("check", "manifest", "files", "experiment", "columns", "trials", "shards", "rerun"),
    ]
    assert "2 trials: 2 byte for byte" in shell.out
    assert not shell.err
    assert shell("verify", str(bowl), "--sample", "1", "--sample-seed", "7") == 0


def test_a_run_that_differs_ends_with_3_and_says_where(shell: Shell, bowl: Path) -> None:
    text = (bowl / "curves.csv").read_text()
    first = text.splitlines()[1].split(",")
    (bowl / "curves.csv").write_text(text.replace(first[10], "0.5", 1))
    assert shell("verify", "bowl", "--format", "json") == 3
    findings = {row["check"]: row for row in json.loads(shell.out)}
    assert findings["files"]["result"] == "damaged"
    row = findings["rerun"]
    place = (row["result"], row["table"], row["trial"], row["step"], row["column"])
    assert place == ("different", "curves.csv", first[0], "0", "train_loss")
    assert (row["recorded"], row["found"]) == ("0.5", first[10])
    assert shell("verify", "bowl", "--quiet") == 3
    assert f"trial {first[0]}, step 0, train_loss: 0.5 recorded, {first[10]} found" in shell.out


def test_two_runs_are_compared_without_running_anything(shell: Shell, bowl: Path) -> None:
    assert shell(*RUN, "other", "--device", "cpu") == 0
    assert shell("verify", "bowl", "--against", "other", "--format", "csv") == 0
    assert "values,same,2 trials are equal," in shell.out
    (bowl / "experiment.toml").write_text("")  # nothing could be run from it
    assert shell("verify", "other", "--against", str(bowl)) == 3


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="kernels of x86-64")
def test_another_processor_is_said_and_met_by_tolerance(shell: Shell) -> None:
    assert shell("run", "linear-regression", "--epochs", "5", "--quiet", "--name", "line") == 0
    other = {"OPENBLAS_CORETYPE": "Prescott", "NPY_DISABLE_CPU_FEATURES": "X86_V3"}
    done = gdcli("verify", "line", folder=shell.folder, **other)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "simd was [" in done.stdout or "blas was openblas" in done.stdout


@pytest.mark.usefixtures("bowl")
@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("nothing",), "'nothing': there is no such run; "),
        (("bow",), "'bow': there is no such run; did you mean 'bowl'?"),
        ((".",), "'.': the folder holds no run; "),
        (("bowl", "--against", "nothing"), "'nothing': there is no such run; "),
        (("bowl", "--sample", "0"), "--sample: 0 is less than 1; "),
        (("bowl", "--rtol", "1e-3"), "--rtol: it needs --against; "),
        (("bowl", "--against", "bowl", "--sample", "1"), "--sample: nothing is run again with "),
        (("bowl", "--against", "bowl", "--atol", "-1"), "--atol: -1.0 is less than 0; "),
        ((), "gdcli verify: RUN is missing; "),
    ],
)
def test_a_mistake_is_one_line(shell: Shell, arguments: tuple[str, ...], line: str) -> None:
    (error,) = shell.refuses("verify", *arguments)
    assert error.startswith(line)
