"""Whole commands against the number of worker processes, which write the same bytes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.agreement import DisagreementError
from benchmarks.command import run
from benchmarks.result import Result
from benchmarks.whole_process import results

TITLE = "CNN 8x8: 256 trials, batch 32, 2 epochs"
GRID = ("--method=minibatch", "--lr=log:1e-4:1e-1:32", "--seed=0:7", "--epochs=2")


def measure(repeats: int) -> list[Result]:
    """Return the times of one worker, two, and so on to one for each core, in turns.

    Raises DisagreementError if they do not all write the same curves.
    """
    counts = [2**n for n in range(max((os.cpu_count() or 1).bit_length(), 2))]
    times: dict[str, list[float]] = {f"{n} worker{'s' * (n > 1)}": [] for n in counts}
    curves = set()
    for _ in range(repeats):
        for count, spent in zip(counts, times.values(), strict=True):
            with TemporaryDirectory() as folder:
                spent.append(run(_command(count), Path(folder)).seconds)
                curves.add((Path(folder) / "grid" / "curves.csv").read_bytes())
    if len(curves) > 1:
        raise DisagreementError(f"{TITLE}: workers change the curves")
    return results("workers", TITLE, times)


def _command(workers: int) -> Sequence[str]:
    own = ("--output={out}", "--name=grid", f"--workers={workers}")
    return ("-m", "gdcli", "run", "cnn", *GRID, *own)
