"""What a grid would cost: steps, seconds, memory and disk, before anything is run or written."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from gdcli.engine.batch import TrialBatch, batches_of, train_batch
from gdcli.engine.examples import examples_of
from gdcli.engine.memory import batch_memory
from gdcli.engine.plan import plan_of
from gdcli.grid import Cohort, Trial

if TYPE_CHECKING:
    from gdcli.problem import Data

SAMPLE = 32  # steps that are timed
SLOW = 3.0  # seconds that one such run may take, or little more
LOOK = 1.0  # seconds that a quick estimate may take, or little more
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


def estimate(cohorts: tuple[Cohort, ...], device: str, engine: str = "auto") -> Estimate:
    """Return what the cohorts would cost on a resolved device, by timing a few steps of each."""
    parts = tuple(_cohort(cohort, device, engine) for cohort in cohorts)
    return Estimate(parts, tuple(trial for cohort in cohorts for trial in cohort.trials))


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
    data = examples_of(batch.trials[0])
    plan = plan_of(batch.trials[0], data.examples)
    try:
        one = _seconds(_shortened(batch, 1, 1), data, device)  # warms up, too
        if one > LOOK:
            return (plan.steps + plan.recorded) * one / 3
        one = _seconds(_shortened(batch, 1, 1), data, device)
        few = max(2, min(SAMPLE, plan.steps, int(LOOK / 10 / one)))
        many = _seconds(_shortened(batch, few, few), data, device)
        dense = _seconds(_shortened(batch, few, 1), data, device)
    except Exception:  # noqa: BLE001 -- some trial's own: the run will tell
        return 0.0
    steps, points = plan.steps * max(many - one, 0.0), plan.recorded * max(dense - many, 0.0)
    return one + (steps + points) / (few - 1)


def _cohort(cohort: Cohort, device: str, engine: str) -> CohortEstimate:
    batches = batches_of((cohort,), engine)
    trial = cohort.trials[0]
    data = examples_of(trial)
    plan = plan_of(trial, data.examples)
    step, point = _timed(batches[0], data, device)
    count = len(cohort.trials)
    return CohortEstimate(
        name=cohort.name,
        trials=count,
        steps=plan.steps,
        recorded=plan.recorded,
        seconds=len(batches) * (plan.steps * step + plan.recorded * point),
        memory=batch_memory(batches[0], data),
        disk=count * plan.recorded * ROW,
    )


def _timed(batch: TrialBatch, data: Data, device: str) -> tuple[float, float]:
    """Return the seconds of a step and of a recorded point, from short runs of a batch."""
    few = _seconds(_shortened(batch, 1, SAMPLE), data, device)  # warms up, too
    few = min(few, _seconds(_shortened(batch, 1, SAMPLE), data, device))
    sample = min(SAMPLE, max(2, int(SLOW / few)))
    many = _seconds(_shortened(batch, sample, sample), data, device)
    dense = _seconds(_shortened(batch, sample, 1), data, device)
    step = max(many - few, 0.0) / (sample - 1)
    return step, max(dense - many, 0.0) / (sample - 1)


def _shortened(batch: TrialBatch, steps: int, record: int) -> TrialBatch:
    trials = (
        replace(t, training=replace(t.training, epochs=None, steps=steps, record=str(record)))
        for t in batch.trials
    )
    return replace(batch, trials=tuple(trials))


def _seconds(batch: TrialBatch, data: Data, device: str) -> float:
    begun = time.perf_counter()
    train_batch(batch, data, device, lambda _: None)
    return time.perf_counter() - begun
