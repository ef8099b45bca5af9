"""The learning rate that suits each setting of a grid: looked for in a ramp, then held.

In the ramp (Smith 2017) the rate grows by the same factor every step. Where its loss falls
steepest before it first blows up, the search begins. A ramp cannot say more: each rate has one
step, and what grows above the limit is what shrank on the way there. So rates around that one are
held, each from the start and for the budget of a run, until those that do well have both ends.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gdcli.analysis.lr_range import ceiling, held_below, medians, smoothed, steepest
from gdcli.analysis.rate_search import (
    DECADE,
    Level,
    Reading,
    level_of,
    place_of,
    rate_at,
    reading_of,
    upcoming,
)
from gdcli.analysis.theory import Limit, limit_of
from gdcli.engine.curvature import curvature_of
from gdcli.engine.examples import examples_of
from gdcli.engine.plan import Plan, plan_of
from gdcli.grid import Trial
from gdcli.schedule import Schedule
from gdcli.schedules.constant import Constant
from gdcli.studies.options import Machine, RangeTest
from gdcli.studies.training import MakeBar, Results, Trained, none_trained, train

if TYPE_CHECKING:
    from gdcli.experiment import Experiment

MOST_EPOCHS, MOST_STEPS = 10, 3000  # of a rate that is held, where no budget is given
AROUND = (-DECADE, -2, 0, 2, DECADE)  # a tenth, a third, 3 and 10 times the candidate


@dataclass(frozen=True)
class Ramp(Schedule):
    """A rate for every step; the trial's learning rate is 1."""

    rates: tuple[float, ...]

    def multiplier(self, step: int, horizon: int) -> float:
        """Return the step's rate."""
        return self.rates[step]


class Sizes(NamedTuple):
    """Root mean squares of the features' columns: the smallest above 0, and the largest."""

    least: float
    largest: float


@dataclass(frozen=True)
class SettingRange:
    """What the test says of one setting: all that is fixed but the rate and the seed."""

    trial: Trial  # the setting, at its first seed
    seeds: tuple[int, ...]  # those of which a trial was trained
    plan: Plan  # of a trial that holds a rate
    rates: tuple[float, ...]  # of the ramp
    ramps: dict[int, tuple[float, ...]]  # losses after the step at each rate, by seed
    smooth: tuple[float, ...]  # their median over seeds, smoothed; inf where most have blown up
    held: dict[float, dict[int, float]]  # losses after holding a rate, by seed; rates ascend
    levels: dict[int, Level]  # of the places of the ladder that were held, ascending
    start: float  # the loss at the start, median over seeds; nan where no trial was trained
    bottomless: bool  # a trial fell below any bound that the engine sets
    limit: Limit | None
    sizes: Sizes | None  # where the examples are rows of features
    failed: dict[Trial, str]  # trials that raised, left out

    @cached_property
    def reading(self) -> Reading:
        """What the held rates say."""
        return reading_of(self.levels, self.start)

    @property
    def suggested(self) -> float | None:
        """The rate to use; None: the loss falls at no stable one, or without end."""
        place = None if self.bottomless else self.reading.suggested
        return None if place is None else rate_at(place)

    @property
    def good(self) -> tuple[float, float] | None:
        """The ends of the good region, among the rates that were held; None: there is none."""
        ends = None if self.bottomless else self.reading.good
        return ends and (rate_at(ends[0]), rate_at(ends[1]))

    @property
    def unstable(self) -> float | None:
        """The smallest unstable rate, or at which a trial raised; None: every one is stable."""
        return None if self.reading.edge is None else rate_at(self.reading.edge)


def range_test(
    experiment: Experiment, test: RangeTest, machine: Machine, make_bar: MakeBar
) -> list[SettingRange]:
    """Return what the test says of every setting of an experiment's grid.

    Trials that raise an exception are left out. Raises RunError where every trial raises.
    """
    settings = [_Setting(trials, test) for trials in _by_setting(experiment.grid.trials)]
    ramps = train((t for s in settings for t in s.ramping()), machine, make_bar)
    for setting in settings:
        setting.begin(ramps)
    while waiting := [trial for setting in settings for trial in setting.to_hold()]:
        held = train(waiting, machine, make_bar, told=True)
        for setting in settings:
            setting.take(held)
    found = [setting.result() for setting in settings]
    if not any(one.held for one in found):
        raise none_trained({t: message for one in found for t, message in one.failed.items()})
    return found


def _by_setting(trials: Iterable[Trial]) -> list[list[Trial]]:
    """Return the trials of each setting, one a seed, at a constant rate."""
    groups: dict[Trial, list[Trial]] = {}
    for trial in trials:
        constant = replace(trial, schedule=Constant(), lr=1.0)
        groups.setdefault(replace(constant, seed=0), []).append(constant)
    return list(groups.values())


class _Setting:
    """A setting between its ramp and its result."""

    def __init__(self, trials: Sequence[Trial], test: RangeTest) -> None:
        self.test, self.rates = test, test.rates()
        self.plan = _budget(trials[0], test)
        own = trials[0].training
        training = replace(own, epochs=None, steps=self.plan.steps, record=self.plan.record)
        self.trials = [replace(trial, training=training) for trial in trials]
        self.ramps: dict[int, tuple[float, ...]] = {}
        self.smooth: tuple[float, ...] = ()
        self.found: dict[int, dict[int, Trained]] = {}  # by place and seed
        self.failed: dict[Trial, str] = {}
        self.places: list[int] = []  # to be held next

    def ramping(self) -> Iterator[Trial]:
        """Yield the trials with a step at each rate for their budget."""
        schedule = Ramp(self.rates)
        for trial in self.trials:
            training = replace(trial.training, steps=len(self.rates), record="step")
            yield replace(trial, schedule=schedule, training=training)

    def begin(self, ramps: Results) -> None:
        """Look for the first candidate in the ramps; around it rates are held first."""
        curves = []
        for ramp in self.ramping():
            if ramp in ramps.failed:
                continue  # the rates that are held say where it raises
            losses = ramps.trained[ramp].losses
            limit = ceiling(losses[0], ramp.problem.minimum, self.test.diverge_at)
            self.ramps[ramp.seed] = losses[1:]
            curves.append(smoothed(held_below(losses, limit), self.test.smooth))
        smooth = medians(curves, 1 + len(self.rates)) if curves else [math.inf]
        self.smooth = tuple(smooth[1:])
        whole = [loss for loss in smooth if math.isfinite(loss)]
        candidate = self.rates[max((steepest(whole) or 1) - 1, 0)]
        middle = place_of(candidate)
        self.places = [middle + step for step in AROUND]

    def to_hold(self) -> list[Trial]:
        """Return the trials that hold the next rates from the start."""
        return [self._at(place, trial) for place in self.places for trial in self.trials]

    def _at(self, place: int, trial: Trial) -> Trial:
        return replace(trial, lr=rate_at(place))

    def take(self, held: Results) -> None:
        """Take what became of them, and decide which rates are held next."""
        for place in self.places:
            self.found[place] = {}
            for trial in self.trials:
                one = self._at(place, trial)
                if one in held.failed:
                    self.failed[one] = held.failed[one]
                else:
                    self.found[place][trial.seed] = held.trained[one]
        top = place_of(self.test.lr_to)
        self.places = upcoming(self.levels(), self.start(), top) if self.seeds() else self._lower()

    def _lower(self) -> list[int]:
        """Return lower rates, once: where every trial raises at large ones, some do not here."""
        first = min(self.found)
        return [first - DECADE, first - 2 * DECADE] if len(self.found) == len(AROUND) else []

    def seeds(self) -> list[int]:
        """Return the seeds of which a trial was trained at some rate."""
        return sorted({seed for ends in self.found.values() for seed in ends})

    def levels(self) -> dict[int, Level]:
        """Return what became of every place that was held, ascending."""
        seeds = self.seeds()
        return {place: self._level(self.found[place], seeds) for place in sorted(self.found)}

    def _level(self, trained: Mapping[int, Trained], seeds: Sequence[int]) -> Level:
        if not seeds or any(seed not in trained for seed in seeds):
            return Level("raised")
        ends = [math.inf if one.diverged else one.losses[-1] for one in trained.values()]
        minimum, factor = self.trials[0].problem.minimum, self.test.diverge_at
        limits = [ceiling(one.losses[0], minimum, factor) for one in trained.values()]
        return level_of(ends, limits)

    def start(self) -> float:
        """Return the loss at the start, median over seeds; nan where it is not known."""
        first = {s: one.losses[0] for ends in self.found.values() for s, one in ends.items()}
        return median(first.values()) if first else math.nan

    def result(self) -> SettingRange:
        """Return what the test says."""
        first = self.trials[0]
        held = {
            rate_at(place): {seed: one.losses[-1] for seed, one in self.found[place].items()}
            for place in sorted(self.found)
        }
        every = [one for ends in self.found.values() for one in ends.values()]
        return SettingRange(
            trial=first,
            seeds=tuple(self.seeds()),
            plan=self.plan,
            rates=self.rates,
            ramps=self.ramps,
            smooth=self.smooth,
            held={rate: ends for rate, ends in held.items() if ends},
            levels=self.levels(),
            start=self.start(),
            bottomless=any(map(_fell_out, every)),
            limit=_limit(first),
            sizes=_sizes(first),
            failed=self.failed,
        )


def _fell_out(trained: Trained) -> bool:
    """Return whether a trial ended because its loss was too low."""
    return trained.diverged and -math.inf < trained.losses[-1] < trained.losses[0]


def _budget(trial: Trial, test: RangeTest) -> Plan:
    """Return how long a rate is held: as was asked, else as in a run, where that is not long."""
    whole = plan_of(trial, examples_of(trial).examples)
    epochs = trial.problem.default_epochs
    most = epochs if trial.method == "gd" else min(epochs, MOST_EPOCHS)
    steps = min(most * whole.steps_per_epoch, MOST_STEPS)
    if test.epochs is not None:
        steps = test.epochs * whole.steps_per_epoch
    if test.steps is not None:
        steps = test.steps
    return whole._replace(steps=steps, record=str(steps))


def _limit(trial: Trial) -> Limit | None:
    """Return the limit of a setting in theory, None where none is known."""
    found = curvature_of(trial.problem, examples_of(trial))
    return limit_of(trial.optimizer, trial.method, found) if found else None


def _sizes(trial: Trial) -> Sizes | None:
    """Return how large the columns of the features are, None where the examples have none."""
    x = examples_of(trial).train.get("x")
    if not isinstance(x, np.ndarray) or x.ndim != 2 or x.dtype.kind != "f":
        return None
    with np.errstate(all="ignore"):
        sizes = np.sqrt(np.mean(np.square(x, dtype=np.float64), axis=0))
    sizes = sizes[(sizes > 0) & np.isfinite(sizes)]
    return Sizes(float(sizes.min()), float(sizes.max())) if sizes.size else None
