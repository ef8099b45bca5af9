"""One workload, side by side: the same losses first, then interleaved repeats."""

from __future__ import annotations

import random
import time
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.agreement import check
from benchmarks.entry import SHORT, Entry, enter
from benchmarks.result import Result, spread
from benchmarks.worker import OURS, Worker

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.workload import Workload

LEAST, PATIENCE = 3, 12.0  # repeats that are taken however long they take; seconds for the others


def race(
    workload: Workload, workers: Mapping[str, Worker], repeats: int, target: float
) -> list[Result]:
    """Return a result for each of the workers, gdcli's the first; `target` is a run's seconds.

    Raises ContestantError for one that fails, and DisagreementError for one that computes other
    losses than gdcli: then there are no times.
    """
    try:
        entries = {name: enter(worker, workload) for name, worker in workers.items()}
        for entry in entries.values():
            if entry.worker.name != OURS:
                _compare(entry, workers[OURS])
        for entry in entries.values():
            entry.prolong(target)
        _repeat(list(entries.values()), repeats)
    finally:
        for worker in workers.values():
            if not worker.ended:
                worker.clear()
    return [_result(workload, name, entries) for name in workers]


def _compare(entry: Entry, ours: Worker) -> None:
    """Train the contestant's short run, and the same on gdcli, and compare the losses."""
    ours.prepare("reference", entry.task)
    reference, timing = ours.train("reference"), entry.worker.train(SHORT)
    check(entry.worker.name, timing, reference, entry.dtype, entry.worker.device)


def _repeat(entries: list[Entry], repeats: int) -> None:
    began = time.monotonic()
    for repeat in range(repeats):
        if repeat >= LEAST and time.monotonic() - began > PATIENCE:
            return
        random.shuffle(entries)  # what one leaves in the caches meets another each time
        for entry in entries:
            entry.measure()


def _result(workload: Workload, name: str, entries: Mapping[str, Entry]) -> Result:
    entry, ours = entries[name], entries[OURS]
    ratios = [other / own for other, own in zip(entry.costs, ours.costs, strict=True)]
    return Result(
        section=workload.section,
        workload=workload.title,
        contestant=name,
        unit="us a trial-step",
        value=spread([1e6 * cost for cost in entry.costs]),
        dtype=entry.dtype,
        trials=entry.task.trials,
        steps=entry.steps,
        ratio=None if name == OURS else spread(ratios),
        goal=workload.goals.get(name),
        overhead_seconds=median(entry.overheads),
        compile_seconds=entry.compile_seconds,
    )
