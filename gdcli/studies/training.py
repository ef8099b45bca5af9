"""Trials that are trained in memory, for a question that no run's folder answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from gdcli.engine.batch import TrialBatch, batches_of, train_batch
from gdcli.engine.device import resolve
from gdcli.engine.examples import examples_of
from gdcli.engine.families import needs_torch
from gdcli.engine.memory import check_memory
from gdcli.engine.plan import plan_of
from gdcli.engine.recorder import DIVERGED
from gdcli.grid import Trial, cohorts_of

if TYPE_CHECKING:
    from gdcli.runs.progress import Progress
    from gdcli.studies.options import Machine

MakeBar: TypeAlias = "Callable[[], Progress]"  # one for every stretch of work


@dataclass(frozen=True)
class Trained:
    """One trial's training losses, up to the point at which it ended."""

    losses: tuple[float, ...]
    diverged: bool


def train(trials: Iterable[Trial], machine: Machine, make_bar: MakeBar) -> dict[Trial, Trained]:
    """Train trials as the batches of a run would be, and return what came of each.

    Raises UserError before anything is computed: for a batch larger than the data, a device that
    is not there, and memory that does not suffice.
    """
    batches = batches_of(cohorts_of(trials))
    device = resolve(machine.device, networks=needs_torch(batches[0].trials[0].problem))
    steps = [len(batch.trials) * _steps(batch) for batch in batches]
    check_memory(batches, machine.memory)
    bar = make_bar()
    bar.start(sum(steps))
    try:
        found = [_train(batch, device, partial(bar.advance, batch.cohort)) for batch in batches]
    finally:
        bar.stop()
    return {trial: trained for part in found for trial, trained in part.items()}


def _steps(batch: TrialBatch) -> int:
    trial = batch.trials[0]
    return plan_of(trial, examples_of(trial).examples).steps


def _train(batch: TrialBatch, device: str, advance: Callable[[int], None]) -> dict[Trial, Trained]:
    _, curves = train_batch(batch, examples_of(batch.trials[0]), device, advance)
    losses = curves.values["train_loss"]
    return {
        trial: Trained(
            tuple(losses[: curves.length[i], i].tolist()), bool(curves.ended[i] == DIVERGED)
        )
        for i, trial in enumerate(batch.trials)
    }
