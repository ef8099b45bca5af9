"""Whole commands against the number of worker processes, which write the same bytes."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from benchmarks.agreement import DisagreementError
from benchmarks.command import run
from benchmarks.whole_process import results

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.result import Result

RATES, SEEDS = 32, 4  # of the trials for each core: two batches of 64


def measure(repeats: int) -> list[Result]:
    """Return the times of one worker, two, and so on to one for each core, in turns.

    Raises DisagreementError if they do not all write the same curves.
    """
    cores = max(os.cpu_count() or 1, 2)
    counts = [2**n for n in range(cores.bit_length())]
    title = f"CNN 8x8: {RATES * SEEDS * cores} trials, batch 32, 2 epochs"
    times: dict[str, list[float]] = {f"{n} worker{'s' * (n > 1)}": [] for n in counts}
    curves = set()
    for _ in range(repeats):
        for count, spent in zip(counts, times.values(), strict=True):
            with TemporaryDirectory() as folder:
                spent.append(run(_command(count, SEEDS * cores), Path(folder)).seconds)
                curves.add((Path(folder) / "grid" / "curves.csv").read_bytes())
    if len(curves) > 1:
        raise DisagreementError(f"{title}: workers change the curves")
    return results("workers", title, times)


def _command(workers: int, seeds: int) -> Sequence[str]:
    grid = ("--method=minibatch", f"--lr=log:1e-4:1e-1:{RATES}", f"--seed=0:{seeds - 1}")
    own = ("--device=cpu", "--output={out}", "--name=grid", f"--workers={workers}")
    return ("-m", "gdcli", "run", "cnn", *grid, "--epochs=2", *own)
