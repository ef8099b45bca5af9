"""Trials that raise: told when they do and when it is over, and tried again alone on demand."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING
from unittest import mock

import pytest

from gdcli.errors import UserError
from gdcli.executors.execute import execute
from gdcli.process import message_of
from gdcli.runs.csv_read import records
from gdcli.runs.folder import State, state_of
from gdcli.runs.options import RunOptions
from tests.executors.test_execute import Counting, Fragile, fragile, frame, run
from tests.grids import experiment
from tests.runs.command import SMALL, gdcli, tables

if TYPE_CHECKING:
    from pathlib import Path

    from gdcli.problem import Array, Batch

RAISE = "any(trial.lr == 3 for trial in trials) and 1 / 0"
FAILED = "4 of 80 trials failed: see results/run/summary.csv; --retry-failed runs them again"


def test_failures_are_told_when_they_happen_and_at_every_end(tmp_path: Path) -> None:
    code, lines = gdcli(tmp_path, *SMALL, "--workers", "1", sabotage=RAISE)
    assert code == 1
    assert [line[:14] for line in lines[:4]] == ["failed: trial "] * 4
    assert lines[0].endswith("(gd vanilla, lr 3.0, seed 0): ZeroDivisionError: division by zero")
    assert lines[4].startswith("4 failed: ZeroDivisionError: division by zero (trial ")
    assert lines[5:] == [FAILED, "the results are in results/run"]
    code, lines = gdcli(tmp_path, *SMALL)
    assert (code, lines[1]) == (1, FAILED)
    (tmp_path / "results" / "run" / "manifest.json").unlink()
    code, lines = gdcli(tmp_path, *SMALL)
    assert (code, lines[0][:14], lines[5]) == (1, "failed: trial ", FAILED)
    assert gdcli(tmp_path, *SMALL, "--fail-on", "none")[0] == 0


def test_a_retry_runs_the_failed_trials_alone(tmp_path: Path) -> None:
    (tmp_path / "sound").mkdir()
    assert gdcli(tmp_path / "sound", *SMALL)[0] == 0
    assert gdcli(tmp_path, *SMALL, "--workers", "2", sabotage=RAISE)[0] == 1
    before = tables(tmp_path / "results" / "run")
    seen = "print(*(trial.lr for trial in trials), file=open('seen', 'a'))"
    assert gdcli(tmp_path, *SMALL, "--retry-failed", sabotage=f"{seen}; {RAISE}")[0] == 1
    assert (tmp_path / "seen").read_text() == "3.0\n" * 4
    assert tables(tmp_path / "results" / "run") == before
    code, lines = gdcli(tmp_path, *SMALL, "--retry-failed", "--workers", "2")
    assert (code, lines) == (0, ["the results are in results/run"])
    assert tables(tmp_path / "results" / "run") == tables(tmp_path / "sound/results/run")
    again = gdcli(tmp_path, *SMALL, "--retry-failed")
    assert again[0] == 0
    assert again[1][0].startswith("nothing to do: ")


def test_a_retry_that_is_killed_leaves_an_unfinished_run(tmp_path: Path) -> None:
    folder = tmp_path / "results" / "run"
    assert gdcli(tmp_path, *SMALL, sabotage=RAISE)[0] == 1
    die = "index == 2 and os.kill(os.getpid(), 9)"
    assert gdcli(tmp_path, *SMALL, "--retry-failed", "--workers", "1", sabotage=die)[0] == -9
    assert state_of(folder) == State("partial", 4, 4)
    code, lines = gdcli(tmp_path, *SMALL)
    assert (code, lines[-2][:22]) == (1, "2 of 80 trials failed:")
    assert state_of(folder) == State("complete", 4, 4)
    assert gdcli(tmp_path, "verify", "run")[0] == 3  # nothing raises any more
    assert gdcli(tmp_path, *SMALL, "--retry-failed")[0] == 0
    assert gdcli(tmp_path, "verify", "run")[0] == 0


def test_a_retry_leaves_the_other_trials_of_a_batch_as_they_were(tmp_path: Path) -> None:
    given = fragile(0.1, 1e9, 0.5, 2e9)
    folder = run(given, tmp_path).folder
    before = tables(folder)
    raised = frame(folder, "summary.csv")["status"] == "failed"
    assert raised.sum() == 4
    with mock.patch.object(Fragile, "gradient", _sound):
        outcome = execute(given, RunOptions(output=tmp_path, retry_failed=True), Counting())
    assert (outcome.failed, outcome.computed, outcome.ready) == (0, 1, False)
    for was, now in zip(before, tables(folder), strict=True):
        kept = [line for line in was.splitlines() if b",failed," not in line]
        lines = now.splitlines()
        assert [line for line in lines if line in kept] == kept
        assert len(lines) > len(kept)
    assert (
        frame(folder, "summary.csv")["lr"].tolist() == [0.1] * 2 + [1e9] * 2 + [0.5] * 2 + [2e9] * 2
    )


def _sound(_: Fragile, point: Array, batch: Batch) -> Array:  # noqa: ARG001
    return point


@pytest.mark.parametrize("rates", [7, 1])
def test_a_few_failures_among_a_thousand_leave_the_others_bytes_alone(
    tmp_path: Path, rates: int
) -> None:
    sound = [0.001 * (1 + k / 1000) for k in range(496)]
    wrong = [1e9 * (1 + k) for k in range(rates)]
    rest = run(fragile(*sound), tmp_path)
    outcome = run(fragile(*sound[:100], *wrong, *sound[100:]), tmp_path)
    assert (outcome.trials, outcome.failed) == (2 * (496 + rates), 2 * rates)
    curves, summary = tables(outcome.folder)
    assert curves == tables(rest.folder)[0]
    lines = [line for line in summary.splitlines(keepends=True) if b",failed," not in line]
    assert b"".join(lines) == tables(rest.folder)[1]


def test_one_that_diverges_among_a_thousand_leaves_the_others_bytes_alone(tmp_path: Path) -> None:
    rates = [0.0001 * (1 + k) for k in range(999)]
    grid = {"method": "minibatch", "epochs": "1"}

    def tables_of(*rates: float) -> list[list[bytes]]:
        lr = ",".join(map(str, rates))
        outcome = run(experiment("linear-regression", {}, lr=lr, **grid), tmp_path)
        assert outcome.trials == len(rates)
        return [table.splitlines() for table in tables(outcome.folder)]

    rest = tables_of(*rates)
    for table, alone in zip(tables_of(*rates[:500], 1e9, *rates[500:]), rest, strict=True):
        others = [line for line in table if b",1000000000.0," not in line]
        assert len(others) < len(table)
        assert others == alone


def test_many_failures_are_not_all_told(tmp_path: Path) -> None:
    progress = Counting()
    given = fragile(*(1e9 + k for k in range(300)))
    assert execute(given, RunOptions(output=tmp_path), progress).failed == 600
    assert len(progress.warnings) == 21
    assert progress.warnings[-1] == "failed: further trials, which summary.csv lists"


def test_starting_again_and_going_on_are_not_asked_at_once() -> None:
    with pytest.raises(UserError, match=r"--resume keeps .*; leave one of them out"):
        RunOptions(overwrite=True, resume=True)
    with pytest.raises(UserError, match=r"--retry-failed keeps .*; leave one of them out"):
        RunOptions(overwrite=True, retry_failed=True)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError(), "ValueError"),
        (ValueError("größer als C:\\limit"), "ValueError: größer als C:\\limit"),
        (ValueError("\x1b[1m\n\udc80"), r"ValueError: \x1b[1m\n\udc80"),
    ],
)
def test_a_message_is_one_line_of_the_users_own_words(error: Exception, message: str) -> None:
    assert message_of(error) == message


def test_records_are_told_apart_by_their_quotes() -> None:
    cells = [["a", "1"], ['b"\n"', "x\r\ny"], ["", '"']]
    lines = [",".join('"' + cell.replace('"', '""') + '"' for cell in row) + "\n" for row in cells]
    found = [
        record.decode() for record in records("".join(lines).encode().splitlines(keepends=True))
    ]
    assert found == lines
    assert [next(csv.reader([line])) for line in found[:1]] == cells[:1]
