"""What a grid would cost: steps, seconds, memory and disk, before anything is run or written."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

from gdcli.datasets.out_of_core import some_of
from gdcli.engine.batch import TrialBatch, batches_of, train_batch
from gdcli.engine.examples import examples_of
from gdcli.engine.families import alone, needs_torch, pieces_for
from gdcli.engine.memory import allowance, stack_memory
from gdcli.engine.plan import plan_of
from gdcli.experiment.grid import Cohort, Trial
from gdcli.problem import Data

SAMPLE = 32  # steps that are timed
LOOK = 1.0  # seconds that an estimate may take, or little more
LOOK_AT = 2**24  # bytes of a trial's activations that it may hold: a piece of examples
FEWEST = 2  # examples that it looks at first: batch norm needs more than one
GROWTH = 4  # times as many, where those were quick
ROW = 130  # bytes of a line of curves.csv


class CohortEstimate(NamedTuple):
    """One cohort: trials that share a stacked program."""

    name: str
    trials: int
    steps: int  # a trial
    recorded: int  # points a trial
    seconds: float
    memory: int  # bytes, of one batch at a time
    disk: int  # bytes


@dataclass(frozen=True)
class Estimate:
    """All cohorts of a grid, and its trials."""

    cohorts: tuple[CohortEstimate, ...]
    trials: tuple[Trial, ...]

    @cached_property
    def seconds(self) -> float:
        """Training time on one core."""
        return sum(cohort.seconds for cohort in self.cohorts)

    @cached_property
    def memory(self) -> int:
        """Bytes that the largest batch needs."""
        return max(cohort.memory for cohort in self.cohorts)

    @cached_property
    def disk(self) -> int:
        """Bytes of results."""
        return sum(cohort.disk for cohort in self.cohorts)


def estimate(
    cohorts: tuple[Cohort, ...], device: str, engine: str = "auto", memory: str | None = None
) -> Estimate:
    """Return what the cohorts would cost on a resolved device, by timing a few steps of each.

    Looks at no further cohorts once it has looked for a while: they are taken for like the others.
    """
    begun, room = time.perf_counter(), allowance(memory, device)
    times: list[Times] = []
    parts: list[CohortEstimate] = []
    for cohort in cohorts:
        batches = batches_of((cohort,), engine)
        if not times or time.perf_counter() - begun < LOOK:
            times.append(_timed(batches[0], device, LOOK / len(cohorts)))
        found = _mean(times) if len(times) < len(parts) + 1 else times[-1]
        parts.append(_cohort(cohort, batches, found, room, device))
    return Estimate(tuple(parts), tuple(trial for cohort in cohorts for trial in cohort.trials))


def quick_estimate(batches: Sequence[TrialBatch], device: str, enough: float) -> float:
    """Return about how many seconds batches would take on one core.

    Looks no further once it has found `enough`, or has looked for a while.
    """
    cohorts: dict[str, list[TrialBatch]] = {}
    for batch in batches:
        cohorts.setdefault(batch.cohort, []).append(batch)
    begun, seconds, seen = time.perf_counter(), 0.0, 0
    # Those with the most steps first: they are likely to be enough.
    for batch, *others in sorted(cohorts.values(), key=_steps, reverse=True):
        seen += 1 + len(others)
        seconds += (1 + len(others)) * _quickly(batch, device)
        if seconds >= enough or time.perf_counter() - begun > LOOK:
            break
    return seconds * len(batches) / seen if seen else 0.0


def _steps(batches: Sequence[TrialBatch]) -> int:
    """Return the steps of all batches of a cohort."""
    trial = batches[0].trials[0]
    return len(batches) * plan_of(trial, examples_of(trial).examples).steps


def _quickly(batch: TrialBatch, device: str) -> float:
    """Return about how many seconds a batch takes, from some of its steps."""
    plan = plan_of(batch.trials[0], examples_of(batch.trials[0]).examples)
    try:
        found = _timed(batch, device, LOOK / 4)
    except Exception:  # noqa: BLE001 -- some trial's own: the run will tell
        return 0.0
    return found.start + plan.steps * found.step + plan.recorded * found.point


def _cohort(
    cohort: Cohort, batches: Sequence[TrialBatch], times: Times, room: int, device: str
) -> CohortEstimate:
    trial, count = cohort.trials[0], len(cohort.trials)
    plan = plan_of(trial, examples_of(trial).examples)
    each = plan.steps * times.step + plan.recorded * times.point
    return CohortEstimate(
        name=cohort.name,
        trials=count,
        steps=plan.steps,
        recorded=plan.recorded,
        seconds=len(batches) * each,
        memory=stack_memory(batches[0], room, device),
        disk=count * plan.recorded * ROW,
    )


class Times(NamedTuple):
    """Seconds that a batch takes."""

    start: float
    step: float
    point: float


def _mean(times: Sequence[Times]) -> Times:
    return Times(*(sum(column) / len(times) for column in zip(*times, strict=True)))


def _timed(batch: TrialBatch, device: str, budget: float) -> Times:
    """Return the seconds of a batch, from short runs of what is computed at a time, or less.

    They take about the seconds of the budget, or those of the shortest that there are.
    """
    data, examples = examples_of(batch.trials[0]), FEWEST
    sample = _sample_of(batch, data, examples)
    one = _seconds(sample, 1, 1, device)  # warms up
    while one < budget:
        sample = _sample_of(batch, data, examples)
        one = _seconds(sample, 1, 1, device)
        if sample.whole or one > budget / 2:  # making a program takes some of it
            break
        examples *= GROWTH
    if one > budget / 4:  # a step and two points: no more is known of them
        return Times(0.0, sample.steps * one / 3, sample.points * one / 3)
    one = min(one, _seconds(sample, 1, 1, device))
    few = max(2, min(SAMPLE, int(budget / 4 / one)))
    many, dense = (_seconds(sample, few, record, device) for record in (few, 1))
    step, point = (max(more - less, 0.0) / (few - 1) for more, less in ((many, one), (dense, many)))
    return Times(one, sample.steps * step, sample.points * point)


class Sample(NamedTuple):
    """A part of a batch's trials on a part of its examples, and what it is of the whole."""

    batch: TrialBatch
    data: Data
    steps: float  # a step of the whole takes as long as so many of its own
    points: float
    whole: bool  # it is all that is computed at a time


def _sample_of(batch: TrialBatch, data: Data, examples: int) -> Sample:
    """Return at most so many examples; programs that are not torch's do all at once."""
    trial = batch.trials[0]
    if not needs_torch(trial.problem) or not data.train:
        return Sample(batch, data, 1.0, 1.0, whole=True)
    plan = plan_of(trial, data.examples)
    found = pieces_for(trial, data, plain=batch.engine == "reference" or alone(trial))
    most = min(data.examples, found.point or data.examples, LOOK_AT // max(found.each))
    few = min(max(most, FEWEST), examples, data.examples)
    size = min(plan.batch_size, few)
    trials = min(len(batch.trials), max(2, LOOK_AT // (few * max(found.each))))
    own = tuple(
        trial if trial.method == "gd" else replace(trial, batch_size=trial.batch_size and size)
        for trial in batch.trials[:trials]
    )
    others, tested = len(batch.trials) / trials, min(few, _tested(data))
    return Sample(
        replace(batch, trials=own),
        some_of(data, 0, few),
        others * plan.batch_size / (few if trial.method == "gd" else size),
        others * (data.examples + _tested(data)) / (few + tested),
        whole=few >= most,
    )


def _tested(data: Data) -> int:
    return len(next(iter(data.test.values()))) if data.test else 0


def _shortened(batch: TrialBatch, steps: int, record: int) -> TrialBatch:
    trials = (
        replace(t, training=replace(t.training, epochs=None, steps=steps, record=str(record)))
        for t in batch.trials
    )
    return replace(batch, trials=tuple(trials))


def _seconds(sample: Sample, steps: int, record: int, device: str) -> float:
    begun = time.perf_counter()
    batch = _shortened(sample.batch, steps, record)
    # Some examples may end where all do not: what an end is like takes seconds to find out.
    train_batch(batch, sample.data, device, lambda _: None, watches=False)
    return time.perf_counter() - begun
