"""What a grid would cost: steps, seconds, memory and disk, before anything is run or written."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from gdcli.engine.batch import TrialBatch, batches_of, train_batch
from gdcli.engine.examples import examples_of
from gdcli.engine.memory import batch_memory
from gdcli.engine.plan import plan_of
from gdcli.grid import Cohort, Trial

if TYPE_CHECKING:
    from gdcli.problem import Data

SAMPLE = 32  # steps that are timed
ROW = 130  # bytes of a line of curves.csv


@dataclass(frozen=True)
class CohortEstimate:
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
    """Return the seconds of a step and of a recorded point, from two short runs of a batch."""
    few = _seconds(_shortened(batch, 1, SAMPLE), data, device)  # warms up, too
    few = min(few, _seconds(_shortened(batch, 1, SAMPLE), data, device))
    many = _seconds(_shortened(batch, SAMPLE, SAMPLE), data, device)
    dense = _seconds(_shortened(batch, SAMPLE, 1), data, device)
    step = max(many - few, 0.0) / (SAMPLE - 1)
    return step, max(dense - many, 0.0) / (SAMPLE - 1)


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
