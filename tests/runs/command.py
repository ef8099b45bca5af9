"""Runs of the command line in processes of their own, as a cluster or a user would begin them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SABOTEUR = Path(__file__).parents[1] / "executors" / "saboteur"
TABLES = ("curves.csv", "summary.csv")
# Four batches of numpy work that takes next to no time.
SMALL = (
    *("run", "quadratic", "--optimizer", "vanilla,momentum,adam,nesterov", "--lr", "lin:0.01:3:20"),
    *("--epochs", "20", "--name", "run", "--format", "csv"),
)


def begin(
    folder: Path, *arguments: str, sabotage: str = "", **environment: str
) -> subprocess.Popen[str]:
    """Begin `gdcli` in a folder; `sabotage` is run before every batch, with its index."""
    path = os.pathsep.join(
        [str(SABOTEUR)] * bool(sabotage) + [os.environ.get("PYTHONPATH", str(SABOTEUR.parents[2]))]
    )
    settings = {**os.environ, "PYTHONPATH": path, "SABOTAGE": sabotage, **environment}
    return subprocess.Popen(
        [sys.executable, "-m", "gdcli", *arguments],
        cwd=folder,
        env=settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def end(process: subprocess.Popen[str]) -> tuple[int, list[str]]:
    """Wait for a process; return its exit code and the lines of its stderr."""
    _, err = process.communicate(timeout=300)
    return process.returncode, err.splitlines()


def gdcli(
    folder: Path, *arguments: str, sabotage: str = "", **environment: str
) -> tuple[int, list[str]]:
    """Run `gdcli` in a folder; return its exit code and the lines of its stderr."""
    return end(begin(folder, *arguments, sabotage=sabotage, **environment))


def tables(folder: Path) -> list[bytes]:
    """Return the bytes of the tables of a run."""
    return [(folder / name).read_bytes() for name in TABLES]


def leftovers(folder: Path) -> list[Path]:
    """Return the temporary files below a folder."""
    return list(folder.rglob(".tmp-*"))
