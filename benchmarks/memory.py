"""How much memory a command takes: the largest resident size of its process, beside --memory.

The base is what the process takes for Python, PyTorch and the rest of what is imported: the size
of one that trains the same network on four examples. A run keeps to --memory where its size beyond
the base is at most 1.3 times that, or where it is refused before it starts.

    python -m benchmarks.memory                # half an hour on idle cores; writes memory.csv
    python -m benchmarks.memory --only GRU     # what has this in its name; its rows are replaced
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from benchmarks.machine import where
from benchmarks.worker import ONE_THREAD, ROOT
from gdcli.engine.estimate import parse

TABLE = Path(__file__).with_name("memory.csv")
NETWORKS = Path(__file__).with_name("networks")
ALLOWED = 1.3
REFUSED = 2  # exit code
ONE_STEP = ("--steps=1", "--workers=1", "--quiet", "--output={out}")
CONVOLUTIONS, RESNET = f"{NETWORKS}/two_convolutions.py", f"{NETWORKS}/resnet.py"
LANGUAGE = f"{NETWORKS}/language.py"
RESNET_18 = (RESNET, "--width=64", "--blocks=2,2,2,2")
SMALL = ("--method=minibatch", "--batch-size=16")


@dataclass(frozen=True)
class Case:
    """A grid, how much memory it may take, and the goal of its whole process."""

    name: str
    arguments: tuple[str, ...]
    memory: str | None = None
    goal: str | None = None

    @property
    def command(self) -> tuple[str, ...]:
        """Return what follows `gdcli`."""
        how = ("--dry-run",) if "dry run" in self.name else ONE_STEP
        allowed = (f"--memory={self.memory}",) if self.memory else ()
        return ("run", *self.arguments, *how, *allowed)

    @property
    def base(self) -> tuple[str, ...]:
        """Return the command that the same network takes least by."""
        network = tuple(a for a in self.arguments if not a.startswith(GRID))
        return ("run", *network, "--examples=4", "--lr=0.1", *ONE_STEP)


GRID = ("--method", "--batch-size", "--lr", "--examples")


def cases() -> list[Case]:
    """Return what is measured."""
    images = (CONVOLUTIONS, "--method=minibatch", "--batch-size=64", "--lr=0.01,0.1")
    cnn = ("cnn", "--dataset=fashion-mnist", "--examples=1024", "--lr=log:0.001:0.1:48")
    resnet = (RESNET, "--examples=1024", *SMALL, "--lr=log:0.001:0.1:8")
    whole = (RESNET, "--examples=256", "--method=gd", "--lr=0.01,0.1")
    deep = (*RESNET_18, "--examples=32", *SMALL, "--lr=log:0.001:0.1:32")
    gru, attention = (
        (LANGUAGE, f"--kind={kind}", "--examples=500", *SMALL, "--lr=log:0.01:0.1:16")
        for kind in ("gru", "attention")
    )
    return [
        Case("60,000 images, two convolutions, dry run", images, goal="600MB"),
        Case("60,000 images, two convolutions", images, goal="1.5GB"),
        Case("60,000 images, two convolutions, 1GB", images, "1GB"),
        Case("cnn, 48 trials, full batches", cnn),
        *(Case(f"cnn, 48 trials, full batches, {m}", cnn, m) for m in ("200MB", "500MB")),
        *(Case(f"ResNet-8, 1024 images, {m}", resnet, m) for m in ("200MB", "500MB", "2GB")),
        *(Case(f"ResNet-8, full batches, {m}", whole, m) for m in ("500MB", "2GB", "8GB")),
        *(Case(f"ResNet-18, 32 trials, {m}", deep, m) for m in ("1GB", "2GB", "4GB")),
        *(Case(f"GRU, 16 trials, {m}", gru, m) for m in ("100MB", "1GB")),
        *(Case(f"attention, 16 trials, {m}", attention, m) for m in ("200MB", "1GB")),
    ]


class Measured(NamedTuple):
    """What a process took."""

    code: int
    peak: int  # bytes
    seconds: float  # of CPU time
    said: str


def measured(command: tuple[str, ...]) -> Measured:
    """Return what gdcli takes for a command."""
    with TemporaryDirectory() as folder:
        own = [part.replace("{out}", folder) for part in command]
        process = subprocess.Popen(
            [sys.executable, "-m", "gdcli", *own],
            env={**os.environ, **ONE_THREAD},
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        said = process.stderr.read() if process.stderr else ""
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    peak = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    last = said.strip().rpartition("\n")[2]
    return Measured(process.returncode, peak, used.ru_utime + used.ru_stime, last)


def row(case: Case, bases: dict[tuple[str, ...], int]) -> dict[str, Any]:
    """Return the row of a case; `bases` are those that are known."""
    found = measured(case.command)
    if found.code not in {0, REFUSED}:
        raise SystemExit(f"{case.name}: {found.said}")
    if case.base not in bases:
        bases[case.base] = measured(case.base).peak
    beyond = max(0, found.peak - bases[case.base])
    kept = found.code == REFUSED or not case.memory or beyond <= ALLOWED * parse(case.memory)
    reached = not case.goal or found.peak <= parse(case.goal)
    return {
        "case": case.name,
        "memory": case.memory or "",
        "ended": "refused" if found.code == REFUSED else "finished",
        "peak_mb": round(found.peak / 1e6),
        "base_mb": round(bases[case.base] / 1e6),
        "beyond_mb": round(beyond / 1e6),
        "cpu_s": round(found.seconds, 1),
        "goal": case.goal or (f"{ALLOWED} x memory" if case.memory else ""),
        "met": "" if not (case.goal or case.memory) else "yes" if kept and reached else "no",
        "where": where("cpu", rivals=False),
    }


def main() -> int:
    """Measure what is asked for, and write each row as it is known."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument("--only", action="append", default=[], help="what has this in its name")
    wanted = parser.parse_args().only
    known: dict[str, dict[str, Any]] = {}
    if TABLE.exists():
        with TABLE.open(encoding="utf-8", newline="") as file:
            known = {line["case"]: line for line in csv.DictReader(file)}
    bases: dict[tuple[str, ...], int] = {}
    every = cases()
    for case in every:
        if wanted and not any(part in case.name for part in wanted):
            continue
        known[case.name] = row(case, bases)
        print(*known[case.name].values(), sep="  ", flush=True)
        lines = [known[one.name] for one in every if one.name in known]
        with TABLE.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, lines[0], lineterminator="\n")
            writer.writeheader()
            writer.writerows(lines)
    return 0


if __name__ == "__main__":
    sys.exit(main())
