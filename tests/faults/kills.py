"""kill -9 at random moments of one sweep with workers: the process, a worker, or all at once."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.runs.command import SMALL, begin, end, gdcli, leftovers, tables

if TYPE_CHECKING:
    import subprocess

SLOW = "import time; time.sleep(0.05)"
SWEEP = (*SMALL, "--vary", "condition=" + ",".join(str(k) for k in range(2, 14)))  # 48 batches


@dataclass
class Rounds:
    """What became of a sweep that was killed so often."""

    kills: int = 0
    finished: int = 0
    identical: int = 0
    leftovers: int = 0
    wrong: int = 0  # exit codes

    def sound(self) -> bool:
        """Return whether all went as it must."""
        return self.identical == self.finished > 0 and not self.leftovers and not self.wrong


def kill_rounds(folder: Path, wanted: int, seed: int) -> Rounds:
    """Kill a sweep so many times, begin it anew whenever it is finished, and finish it."""
    (folder / "whole").mkdir()
    gdcli(folder / "whole", *SWEEP, "--workers", "1")
    whole, chance, rounds = tables(folder / "whole/results/run"), random.Random(seed), Rounds()  # noqa: S311
    while rounds.kills < wanted:
        process = begin(folder, *SWEEP, "--workers", "2", sabotage=SLOW)
        killed = _kill(process, chance)
        rounds.kills += killed
        code, _ = end(process)
        # A worker's death is mended; the process's own, or all, is not.
        rounds.wrong += code not in ((0, -9) if killed else (0,))
        if code == 0:
            _count(folder, whole, rounds)
            shutil.rmtree(folder / "results")
    rounds.wrong += gdcli(folder, *SWEEP, "--workers", "2")[0] != 0
    _count(folder, whole, rounds)
    return rounds


def _count(folder: Path, whole: list[bytes], rounds: Rounds) -> None:
    rounds.finished += 1
    rounds.identical += tables(folder / "results/run") == whole
    rounds.leftovers += len(leftovers(folder))


def _kill(process: subprocess.Popen[str], chance: random.Random) -> bool:
    """Kill one process of a sweep or all, after a while; return whether it still ran."""
    time.sleep(chance.uniform(0.3, 2.5))
    if process.poll() is not None:
        return False
    with suppress(ProcessLookupError):
        whom = chance.choice(("process", "worker", "all"))
        if whom == "all":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            pids = _workers(process.pid) if whom == "worker" else []
            os.kill(chance.choice(pids or [process.pid]), signal.SIGKILL)
    return True


def _workers(pid: int) -> list[int]:
    """Return the workers of a process, on Linux."""
    with suppress(OSError):
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [int(child) for child in children[1:]]  # the first tracks resources
    return []
