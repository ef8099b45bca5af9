"""The learning-rate range test (Smith 2017), for every setting of a grid at once.

In the ramp the rate grows by the same factor every step. It finds where the loss falls steepest,
but not where descent begins to diverge: what grows above the limit is what shrank on the way
there, so that the loss is back at its start only at several times the limit. So the rates from
the suggestion to the end of the ramp are also held, each from the start and for as many steps.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gdcli.analysis.lr_range import ceiling, held_below, median_end, medians, smoothed, steepest
from gdcli.analysis.theory import Limit, limit_of
from gdcli.engine.curvature import curvature_of
from gdcli.engine.examples import examples_of
from gdcli.grid import Trial
from gdcli.schedule import Schedule
from gdcli.schedules.constant import Constant
from gdcli.studies.options import Machine, RangeTest
from gdcli.studies.training import MakeBar, Trained, train

if TYPE_CHECKING:
    from gdcli.experiment import Experiment


@dataclass(frozen=True)
class Ramp(Schedule):
    """A rate for every step; the trial's learning rate is 1."""

    rates: tuple[float, ...]

    def multiplier(self, step: int, horizon: int) -> float:
        """Return the step's rate."""
        return self.rates[step]


@dataclass(frozen=True)
class SettingRange:
    """What the test says of one setting: all that is fixed but the rate and the seed."""

    trial: Trial  # the setting, at its first seed
    rates: tuple[float, ...]
    ramps: dict[int, tuple[float, ...]]  # losses after the step at each rate, by seed
    smooth: tuple[float, ...]  # their median over seeds, smoothed; inf where most have diverged
    held: dict[float, tuple[float, ...]]  # losses after holding a rate, one a seed
    suggested: float | None  # where the loss falls steepest; None: nowhere
    best_held: float | None  # the lowest loss after holding it
    diverges: float | None  # the smallest held rate at which most seeds diverge; None: none does
    limit: Limit | None


def range_test(
    experiment: Experiment, test: RangeTest, machine: Machine, make_bar: MakeBar
) -> list[SettingRange]:
    """Return what the test says of every setting of an experiment's grid."""
    rates = test.rates()
    settings = _by_setting(_ramps(experiment.grid.trials, rates))
    ramps = train((t for trials in settings for t in trials), machine, make_bar).trained
    started = [_Setting(trials, test, rates, ramps) for trials in settings]
    held = train((t for s in started for t in s.to_hold()), machine, make_bar).trained
    more = [t for s in started for t in s.to_hold_after(held)]
    if more:
        held |= train(more, machine, make_bar).trained
    return [setting.result(held) for setting in started]


def _ramps(trials: Sequence[Trial], rates: tuple[float, ...]) -> Iterator[Trial]:
    """Yield the trials with a step at each rate for their budget, whatever they had."""
    ramp = Ramp(rates)
    for trial in trials:
        training = replace(trial.training, epochs=None, steps=len(rates), record="step")
        yield replace(trial, schedule=ramp, lr=1.0, training=training)


def _by_setting(trials: Iterable[Trial]) -> list[list[Trial]]:
    """Return the trials of each setting, one a seed."""
    groups: dict[Trial, list[Trial]] = {}
    for trial in trials:
        groups.setdefault(replace(trial, seed=0), []).append(trial)
    return list(groups.values())


class _Setting:
    """A setting between its ramp and its result."""

    def __init__(
        self,
        trials: Sequence[Trial],
        test: RangeTest,
        rates: tuple[float, ...],
        ramps: dict[Trial, Trained],
    ) -> None:
        self.trials, self.rates, self.steps = trials, rates, test.steps
        self.ramps = [ramps[trial].losses for trial in trials]
        minimum = trials[0].problem.minimum
        self.limits = [ceiling(r[0], minimum, test.diverge_at) for r in self.ramps]
        kept = [held_below(r, limit) for r, limit in zip(self.ramps, self.limits, strict=True)]
        curves = [smoothed(losses, test.smooth) for losses in kept]
        self.smooth = medians(curves, 1 + len(rates))
        whole = [loss for loss in self.smooth if math.isfinite(loss)]
        self.place = steepest(whole)  # 0 is the start, before any rate
        self.first = self.place - 1 if self.place else 0  # of the rates that are held
        self.end = max(1, len(whole))

    def to_hold(self) -> list[Trial]:
        """Return the rates from the suggestion to the end of the ramp, as trials."""
        return self._holding(self.rates[self.first : self.end])

    def to_hold_after(self, held: dict[Trial, Trained]) -> list[Trial]:
        """Return the rates below, where the lowest has diverged; those above, where none has."""
        edge = self.edge(held)
        if edge == self.rates[self.first]:
            return self._holding(self.rates[: self.first])
        return self._holding(self.rates[self.end :]) if edge is None else []

    def _holding(self, rates: Iterable[float]) -> list[Trial]:
        return [held for lr in rates for held in self._held(lr)]

    def _held(self, lr: float) -> list[Trial]:
        """Return the trials that hold a rate, recorded at both ends alone."""
        training = replace(self.trials[0].training, record=str(self.steps))
        return [replace(t, schedule=Constant(), lr=lr, training=training) for t in self.trials]

    def edge(self, held: dict[Trial, Trained]) -> float | None:
        """Return the smallest held rate at which most seeds diverge; None: there is none."""
        return next((lr for lr in self._ends(held) if math.isinf(self._median(lr, held))), None)

    def _ends(self, held: dict[Trial, Trained]) -> dict[float, tuple[float, ...]]:
        """Return the last losses of the seeds, by rate, ascending."""
        trials = {lr: self._held(lr) for lr in self.rates}
        return {
            lr: tuple(held[trial].losses[-1] for trial in seeds)
            for lr, seeds in trials.items()
            if seeds[0] in held
        }

    def _median(self, lr: float, held: dict[Trial, Trained]) -> float:
        losses = [held[trial].losses[-1] for trial in self._held(lr)]
        return median_end(losses, self.limits)

    def result(self, held: dict[Trial, Trained]) -> SettingRange:
        """Return what the test says."""
        ends = self._ends(held)
        levels = {lr: self._median(lr, held) for lr in ends}
        best = min(levels, key=lambda lr: levels[lr])
        pairs = zip(self.trials, self.ramps, strict=True)
        return SettingRange(
            trial=self.trials[0],
            rates=self.rates,
            ramps={trial.seed: losses[1:] for trial, losses in pairs},
            smooth=tuple(self.smooth[1:]),
            held=ends,
            suggested=self.rates[self.place - 1] if self.place else None,
            best_held=best if math.isfinite(levels[best]) else None,
            diverges=self.edge(held),
            limit=_limit(self.trials[0]),
        )


def _limit(trial: Trial) -> Limit | None:
    """Return the limit of a setting in theory, None where none is known."""
    found = curvature_of(trial.problem, examples_of(trial))
    return limit_of(trial.optimizer, trial.method, found) if found else None
