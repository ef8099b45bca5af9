"""One workload, side by side: the same losses first, then interleaved repeats."""

from __future__ import annotations

import random
from collections.abc import Mapping
from statistics import median

from benchmarks.agreement import check
from benchmarks.entry import SHORT, Entry, enter
from benchmarks.result import Result, spread
from benchmarks.worker import Worker
from benchmarks.workload import Workload

OURS = "gdcli"


def race(
    workload: Workload, workers: Mapping[str, Worker], repeats: int, target: float
) -> list[Result]:
    """Return a result for each contestant, gdcli the first; `target` is a run's seconds.

    Raises ContestantError for one that fails, and DisagreementError for one that computes other
    losses than gdcli: then there are no times.
    """
    names = [OURS, *(name for name in workload.against if name in workers)]
    try:
        entries = {name: enter(workers[name], workload) for name in names}
        for name in names[1:]:
            _compare(entries[name], workers[OURS])
        for entry in entries.values():
            entry.prolong(target)
        order = list(entries.values())
        for _ in range(repeats):
            random.shuffle(order)
            for entry in order:
                entry.measure()
    finally:
        for name in names:
            workers[name].clear()
    return [_result(workload, name, entries) for name in names]


def _compare(entry: Entry, ours: Worker) -> None:
    """Train the contestant's short run, and the same on gdcli, and compare the losses."""
    ours.prepare("reference", entry.task)
    reference, timing = ours.train("reference"), entry.worker.train(SHORT)
    check(entry.worker.name, timing, reference, entry.dtype, entry.worker.device)


def _result(workload: Workload, name: str, entries: Mapping[str, Entry]) -> Result:
    entry, ours = entries[name], entries[OURS]
    ratios = [other / own for other, own in zip(entry.costs, ours.costs, strict=True)]
    return Result(
        section=workload.section,
        workload=workload.name,
        contestant=name,
        dtype=entry.dtype,
        trials=entry.task.trials,
        steps=entry.steps,
        unit="us a trial-step",
        value=spread([1e6 * cost for cost in entry.costs]),
        ratio=None if name == OURS else spread(ratios),
        goal=workload.goals.get(name),
        overhead_seconds=median(entry.overheads),
        compile_seconds=entry.compile_seconds,
    )
