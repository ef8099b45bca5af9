"""A whole process, timed by the clock from its start to its end."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.worker import ONE_THREAD, ROOT, ContestantError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Done(NamedTuple):
    """A process that has ended well."""

    seconds: float
    errors: str  # what it wrote to stderr


def seconds(arguments: Sequence[str]) -> float:
    """Return how long Python takes with these arguments, of which {out} is a fresh folder."""
    with TemporaryDirectory() as folder:
        return run(arguments, Path(folder)).seconds


def run(arguments: Sequence[str], folder: Path, settings: Mapping[str, str] = ONE_THREAD) -> Done:
    """Run the same, and leave what the process wrote in the folder.

    Raises ContestantError, with the last line of its errors, for a process that fails.
    """
    command = [sys.executable, *(part.replace("{out}", str(folder)) for part in arguments)]
    # Bytecode is kept, as for any installed package.
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    began = time.perf_counter()
    done = subprocess.run(
        command,
        env={**kept, **settings},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    spent = time.perf_counter() - began
    if done.returncode:
        last = done.stderr.strip().rpartition("\n")[2]
        raise ContestantError(f"{' '.join(command[1:4])} failed: {last}")
    return Done(spent, done.stderr)
