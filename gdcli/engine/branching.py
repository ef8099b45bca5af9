"""Runs that begin alike: of several horizons, each longer one goes on from where it parts.

Warm-up-stable-decay is the same schedule for every horizon until the cooldown begins, if its
warm-up is given in steps: a trunk, which is trained once, and a branch for each horizon.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gdcli.optimizer import Optimizer
from gdcli.schedule import FeedbackSchedule
from gdcli.schedules.constant import Constant

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from gdcli.engine.batch import TrialBatch
    from gdcli.experiment.grid import Trial

WORTH = 16  # a longer run parts no earlier than after this part of the shorter one


def longer_runs(batches: Sequence[TrialBatch]) -> dict[int, tuple[int, ...]]:
    """Return the longer runs of the same trials that batches have, by place, shortest first."""
    budgets = {batch.trials[0].training for batch in batches}
    if len(budgets) == 1:
        return {}
    families: dict[Hashable, list[int]] = {}
    for place, batch in enumerate(batches):
        families.setdefault(tuple(map(_without_budget, batch.trials)), []).append(place)
    found: dict[int, tuple[int, ...]] = {}
    for places in families.values():
        places.sort(key=lambda place: _budget(batches[place].trials[0]))
        found |= {place: tuple(places[i + 1 :]) for i, place in enumerate(places)}
    return {place: after for place, after in found.items() if after}


def _without_budget(trial: Trial) -> Trial:
    return replace(trial, training=replace(trial.training, steps=None, epochs=None))


def _budget(trial: Trial) -> int:
    return trial.training.steps or trial.training.epochs or 0


def shared_steps(trials: Sequence[Trial], horizon: int, longer: int) -> int:
    """Return how many first steps of two horizons are the same; 0 where they are too few."""
    if not all(isinstance(trial.optimizer, Optimizer) for trial in trials):
        return 0  # a method may know its horizon
    schedules = {trial.schedule for trial in trials}
    schedules |= {schedule for _, schedule in trials[0].training.scheduled}
    ruled = [s for s in schedules if not isinstance(s, Constant | FeedbackSchedule)]
    for step in range(horizon if ruled else 0):
        if any(s.multiplier(step, horizon) != s.multiplier(step, longer) for s in ruled):
            return step if step * WORTH >= horizon else 0
    return horizon
