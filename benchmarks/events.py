"""Everything there is to measure, in order: a name, and how to measure it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from benchmarks import (
    benchopt_run,
    gpu,
    methods,
    overhead,
    reading,
    scaling,
    start_up,
    tables,
    whole_process,
    workers,
    workloads,
)
from benchmarks.race import race
from benchmarks.result import Result
from benchmarks.worker import OURS

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.team import Team
    from benchmarks.workload import Workload


@dataclass(frozen=True)
class Event:
    """One thing to measure."""

    name: str
    measure: Callable[[], list[Result]]


@dataclass(frozen=True)
class Effort:
    """How much of everything."""

    repeats: int = 5
    target: float = 0.25  # seconds of a timed run
    quick: bool = False

    @classmethod
    def quickest(cls) -> Effort:
        """Return what --quick stands for."""
        return cls(repeats=2, target=0.05, quick=True)

    def less(self) -> Effort:
        """Return what a point of a curve takes."""
        return replace(self, repeats=min(self.repeats, 3), target=min(self.target, 0.1))

    def with_repeats(self, repeats: int | None) -> Effort:
        """Return the same with another number of repeats, if one is given."""
        return replace(self, repeats=repeats or self.repeats)


def events(team: Team, images: Path, effort: Effort, against: tuple[str, ...]) -> Iterator[Event]:
    """Yield what there is to measure; `against` names the contestants, all if empty."""
    if team.device != "cpu":
        for workload in gpu.workloads(images, against or ("tutorial",)):
            measure = partial(gpu.contest, workload, team, effort.repeats, effort.target)
            yield Event(workload.name, measure)
        return
    for workload in _races(images, effort):
        rivals = tuple(name for name in workload.against if not against or name in against)
        chosen = replace(workload, against=rivals)
        own = effort if workload.section == "table" else effort.less()
        yield Event(workload.name, partial(_race, chosen, team, own))
    for workload in () if effort.quick else scaling.by_trials():
        yield Event(f"memory-{workload.name}", partial(_memory, workload))
    for dtype in ("float64", "float32"):
        yield Event(f"rows-{dtype}", partial(tables.measure, dtype, effort.repeats))
    for title in start_up.COMMANDS:
        yield Event(f"start-up: {title}", partial(start_up.measure, title, effort.repeats))
    for contest in (c for c in methods.RACES if c.quick or not effort.quick):
        yield Event(f"methods: {contest.name}", partial(methods.measure, contest, effort.repeats))
    yield Event(benchopt_run.NAME, partial(benchopt_run.contest, effort.repeats))
    grids, repeats = whole_process.GRIDS, effort.repeats
    if effort.quick:
        grids, repeats = whole_process.SMALL, 1
    else:
        yield Event("workers", partial(workers.measure, effort.less().repeats))
        yield Event("store", partial(overhead.measure, effort.repeats))
        yield Event("reading: show", partial(reading.shown, reading.MANY, effort.less().repeats))
        yield Event("reading: again", partial(reading.asked_again, 2000, effort.repeats))
        yield Event("reading: reuse", partial(reading.reused, effort.repeats))
    for grid in grids:
        yield Event(grid.name, partial(whole_process.contest, grid, repeats))


def _races(images: Path, effort: Effort) -> Iterator[Workload]:
    table = workloads.table(images)
    if effort.quick:
        yield from (workload for workload in table if workload.quick)
        return
    yield from (*table, *workloads.seeds())
    yield from (*scaling.by_trials(), *scaling.by_parameters(), *scaling.by_examples())


def _race(workload: Workload, team: Team, effort: Effort) -> list[Result]:
    return race(workload, team.of((OURS, *workload.against)), effort.repeats, effort.target)


def _memory(workload: Workload) -> list[Result]:
    return [scaling.memory(workload)]
