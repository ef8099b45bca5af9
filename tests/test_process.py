"""Signals: the first is heard after the batch in hand, a second at once, ignored ones never."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from gdcli.runs.folder import State, state_of
from tests.runs.command import SMALL, begin, end, gdcli, leftovers, tables

if TYPE_CHECKING:
    from pathlib import Path

ALONE = (*SMALL, "--workers", "1")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_run_after_the_batch_in_hand(tmp_path: Path, number: int) -> None:
    code, lines = gdcli(tmp_path, *ALONE, sabotage=f"index == 1 and os.kill(os.getpid(), {number})")
    assert code == 128 + number
    assert lines == [
        "stopping after the batches in hand; the same signal again stops at once",
        "stopped: what is finished is kept; the same command goes on from there",
    ]
    assert state_of(tmp_path / "results" / "run") == State("partial", 2, 4)
    (tmp_path / "whole").mkdir()
    assert gdcli(tmp_path / "whole", *ALONE)[0] == gdcli(tmp_path, *ALONE)[0] == 0
    assert tables(tmp_path / "results" / "run") == tables(tmp_path / "whole/results/run")


@pytest.mark.parametrize("times", [2, 3])
def test_a_second_signal_ends_the_batch_too(tmp_path: Path, times: int) -> None:
    swallowed = "try: os.kill(os.getpid(), 2)\n except BaseException: pass\n"
    lines = "\n ".join(["if index == 1:", *["os.kill(os.getpid(), 2)"] * 2])
    if times == 3:  # what the second one raised was lost, as in a callback
        lines = f"if index == 1:\n os.kill(os.getpid(), 2)\n {swallowed} os.kill(os.getpid(), 2)"
    code, said = gdcli(tmp_path, *ALONE, sabotage=lines)
    assert (code, len(said)) == (130, 4 - times)
    assert state_of(tmp_path / "results" / "run") == State("partial", 1, 4)
    assert not leftovers(tmp_path)


def test_a_second_signal_is_known_whatever_compiled_code_makes_of_it(tmp_path: Path) -> None:
    hidden = "except KeyboardInterrupt: raise KeyboardInterrupt from None"
    sabotage = f"try:\n os.kill(os.getpid(), 2)\n os.kill(os.getpid(), 15)\n{hidden}"
    assert gdcli(tmp_path, *ALONE, sabotage=sabotage)[0] == 143


def test_nohup_is_respected(tmp_path: Path) -> None:
    code = (
        "import signal, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN);"
        "from gdcli.cli.app import main; import os;"
        "from gdcli.runs.work import BatchRunner; begin = BatchRunner.shard;"
        "BatchRunner.shard = lambda *given: os.kill(os.getpid(), signal.SIGHUP) or begin(*given);"
        "sys.exit(main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *ALONE],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "the results are in results/run\n")


def test_a_signal_while_a_process_waits_for_others_is_heard(tmp_path: Path) -> None:
    stuck = begin(tmp_path, *ALONE, sabotage="import time; index or time.sleep(600)")
    while state_of(tmp_path / "results" / "run").word != "in progress":
        assert stuck.poll() is None
    other = begin(tmp_path, *ALONE)
    assert other.stderr is not None
    assert other.stderr.readline().startswith("waiting for 1 batch that")
    other.terminate()
    assert end(other)[0] == 143
    stuck.kill()
    assert end(stuck)[0] == -9
