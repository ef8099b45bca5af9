"""Curves: time and memory against the numbers of trials, parameters and examples."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from benchmarks.entry import SHORT
from benchmarks.result import Result, spread
from benchmarks.worker import OURS, Worker
from benchmarks.workload import Task, Workload
from benchmarks.workloads import least_squares, mlp, softmax

FEWEST = 8  # trials up to which the lean loop is there to compare with


def by_trials() -> tuple[Workload, ...]:
    """Return workloads of 1 to 4096 learning rates, or 256 where evaluating more takes long."""
    many, some = (1, 8, 64, 512, 4096), (1, 8, 64, 256)
    curves = ((least_squares()[0], many), (softmax()[1], some), (mlp()[1], some))
    return tuple(
        _point("trials", workload, count, rates=count, against=("lean",) * (count <= FEWEST))
        for workload, counts in curves
        for count in counts
    )


def by_parameters() -> tuple[Workload, ...]:
    """Return least squares of 10 to 10,000 features."""
    like = replace(least_squares()[2], title="least squares, batch 32, n=1000")
    return tuple(_sized("parameters", like, "features", 10**n) for n in (1, 2, 3, 4))


def by_examples() -> tuple[Workload, ...]:
    """Return full batches of 1000 to a million examples."""
    full = least_squares()[3]
    options = {**full.options, "features": 10}
    like = replace(full, title="least squares d=10, full batch", options=options)
    return tuple(_sized("examples", like, "examples", 10**n) for n in (3, 4, 5, 6))


def _sized(section: str, workload: Workload, option: str, size: int) -> Workload:
    options = {**workload.options, option: size}
    # The stable rates fall as the features grow.
    return _point(section, workload, size, options=options, lr=(1e-6, 1e-5), against=())


def _point(section: str, workload: Workload, size: int, **changes: Any) -> Workload:
    return replace(
        workload,
        section=section,
        name=f"{workload.name}-{section}-{size}",
        title=f"{workload.title}; {section}: {size}",
        goals={},
        **changes,
    )


def memory(workload: Workload) -> Result:
    """Return the largest memory of a fresh process that trains a workload for a few steps."""
    worker = Worker(OURS)
    try:
        worker.prepare(SHORT, Task(workload, workload.trials, workload.first))
        peak = worker.train(SHORT).peak_kib / 1024
    finally:
        worker.close()
    return Result(
        section="memory",
        workload=workload.title,
        contestant=OURS,
        unit="MiB",
        value=spread([peak]),
        trials=workload.trials,
        steps=workload.first,
    )
