"""The learning rate that suits each setting of a grid: looked for in a ramp, then held.

In the ramp (Smith 2017) the rate grows by the same factor every step. Where its loss falls
steepest before it first blows up, the search begins. A ramp cannot say more: each rate has one
step, and what grows above the limit is what shrank on the way there. So rates around that one are
held, each from the start and for the budget of a run, until those that do well have both ends. The
rates are the places of a ladder with four rungs a decade, 1, 2, 3 and 5. Every other rung is tried
first; those between decide at the best rate and at the first unstable one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import takewhile
from math import inf, isfinite, log10
from statistics import median as median_of
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

import numpy as np

from gdcli.analysis.quantiles import median
from gdcli.analysis.theory import Limit, limit_of
from gdcli.datasets.sparse import Sparse
from gdcli.engine.examples import examples_of
from gdcli.engine.families.family import family_of
from gdcli.engine.plan import Plan, plan_of
from gdcli.experiment.grid import Trial
from gdcli.schedule import Schedule
from gdcli.schedules.constant import Constant
from gdcli.studies.options import RangeTest
from gdcli.studies.training import MakeBar, Results, Trained, none_trained, train

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from gdcli.experiment.experiment import Experiment
    from gdcli.studies.options import Compute, RangeTest


def ceiling(start: float, minimum: float | None, factor: float) -> float:
    """Return the loss above which a trial has diverged: `factor` times its height at the start.

    The height is over the known minimum, else over 0, whichever sign the loss has.
    """
    height = abs(start) if minimum is None else start - minimum
    return start + (factor - 1) * height


def held_below(losses: Sequence[float], limit: float) -> list[float]:
    """Return the losses before the first that is above the limit, or not finite."""
    return list(takewhile(lambda loss: isfinite(loss) and loss <= limit, losses))


def smoothed(losses: Sequence[float], width: int) -> list[float]:
    """Return the mean of `width` losses around each; of fewer, as many on both sides, at an end.

    Centred: a mean of the past alone would move every feature to a larger learning rate.
    """
    means = []
    for place in range(len(losses)):
        reach = min(width // 2, place, len(losses) - 1 - place)
        around = losses[place - reach : place + reach + 1]
        means.append(sum(around) / len(around))
    return means


def medians(curves: Sequence[Sequence[float]], length: int) -> list[float]:
    """Return the median over curves at each of `length` places, inf where most have ended."""
    padded = [[*curve, *[inf] * (length - len(curve))] for curve in curves]
    return [median(values) for values in zip(*padded, strict=True)]


def steepest(curve: Sequence[float]) -> int | None:
    """Return the place after the first at which a curve falls most; None: it falls nowhere.

    The places lie evenly on the axis, so that differences are slopes: half of that between both
    neighbours, and at the end that to the only one.
    """
    last = len(curve) - 1
    slopes = [(curve[place + 1] - curve[place - 1]) / 2 for place in range(1, last)]
    slopes += [curve[last] - curve[last - 1]] if last > 0 else []
    lowest = min(slopes, default=0.0)
    return slopes.index(lowest) + 1 if lowest < 0 else None


RUNGS = (1, 2, 3, 5)
LOWEST, HIGHEST = -48, 48  # places of 1e-12 and 1e12
GOOD = 0.9  # of the way down from the start's loss to the lowest
SAME = 1e-6  # of that way: losses that differ by less are as low
NEAR, WIDE = 0.01, 6  # within this share of that way for so many decades: the rate hardly counts
DECADE = 4

State: TypeAlias = Literal["stable", "unstable", "raised"]


class Level(NamedTuple):
    """What became of the trials that held one rate."""

    state: State
    loss: float = inf  # at the end, median over seeds; inf unless stable


class RangeReading(NamedTuple):
    """What the held rates say, as places of the ladder."""

    suggested: int | None  # None: the loss falls at no stable rate
    good: tuple[int, int] | None  # ends of the good region, among the places that were held
    edge: int | None  # the smallest that is not stable
    alike: tuple[int, int] | None = None  # where the rate hardly counts: the ends of that region


def rate_at(place: int) -> float:
    """Return the learning rate of a place: 1, 2, 3 or 5 times a power of ten."""
    decade, rung = divmod(place, DECADE)
    return float(f"{RUNGS[rung]}e{decade}")


def place_of(rate: float) -> int:
    """Return the place, 1 or 3 times a power of ten, that is nearest to a rate."""
    return min(max(2 * round(2 * log10(rate)), LOWEST), HIGHEST)


def level_of(ends: Sequence[float], limits: Sequence[float]) -> Level:
    """Return the level of a rate at which seeds end with these losses: unstable if one of them is.

    A seed is unstable whose loss is not finite, or above its limit.
    """
    stable = all(isfinite(end) and end <= limit for end, limit in zip(ends, limits, strict=True))
    return Level("stable", median(ends)) if stable else Level("unstable")


def reading_of(
    levels: Mapping[int, Level], start: float, default: float | None = None
) -> RangeReading:
    """Return what the levels of the places say, given the loss at the start.

    No rate at or above one that is not stable counts, whatever its loss. Where the rate hardly
    counts, as for a rule that searches its own step, the default is suggested.
    """
    edge = _edge(levels)
    losses = {p: levels[p].loss for p in _below(levels, edge)}
    lowest = min(losses.values(), default=inf)
    if not start - lowest > abs(start) * 1e-9:
        return RangeReading(None, None, edge)
    best = min(losses, key=lambda place: losses[place])
    same = _around(best, losses, lowest + SAME * (start - lowest))
    good = _around(best, losses, start - GOOD * (start - lowest))
    if default is not None:
        near = _around(best, losses, lowest + NEAR * (start - lowest))
        held = min(near, key=lambda place: abs(place - place_of(default)))
        if near[-1] - near[0] >= WIDE * DECADE and held == place_of(default):
            return RangeReading(held, (good[0], good[-1]), edge, (near[0], near[-1]))
    # The middle one; not far up where a loss cannot rise, and equal rates have no end.
    middle = min((same[0] + same[-1]) / 2, same[0] + DECADE)
    suggested = min(same, key=lambda place: abs(place - middle))
    return RangeReading(suggested, (good[0], good[-1]), edge)


def upcoming(levels: Mapping[int, Level], start: float, top: int) -> list[int]:
    """Return the places to hold next; none once the good region and the first unstable are known.

    The search goes up to `top`, and on as long as the rates are good or the loss falls nowhere;
    down until a rate is stable, and then until one is not good.
    """
    found = reading_of(levels, start)
    below = _below(levels, found.edge)
    if found.good is None or found.suggested is None:
        if found.edge is None:
            return _coarse(max(levels), top, levels)
        bottom = min(levels)
        further = [bottom - DECADE * decades for decades in (1, 2, 3)]
        between = _coarse(max(below), found.edge, levels) if below else []
        return between or [place for place in further if place >= LOWEST]
    low, high = found.good
    first = max(LOWEST, min(low - 2, found.suggested - DECADE))
    last = max(top, high + 2, found.suggested + DECADE) if found.edge is None else found.edge
    wanted = _coarse(first - 1, min(last, HIGHEST), levels)
    return wanted or _fine(levels, found)


def _fine(levels: Mapping[int, Level], found: RangeReading) -> list[int]:
    """Return the rungs beside the best rate, and the one below the first that is not stable."""
    places = [found.suggested - 1, found.suggested + 1] if found.suggested is not None else []
    if found.edge is not None and found.edge % 2 == 0:
        places.append(found.edge - 1)
    kept = [p for p in places if LOWEST <= p <= HIGHEST and p not in levels]
    return sorted({p for p in kept if found.edge is None or p < found.edge})


def _coarse(low: int, high: int, levels: Mapping[int, Level]) -> list[int]:
    """Return the places above `low`, up to `high`, of 1 and 3 times a power of ten, not held."""
    return [p for p in range(low + 1, high + 1) if p % 2 == 0 and p not in levels]


def _edge(levels: Mapping[int, Level]) -> int | None:
    return min((p for p, level in levels.items() if level.state != "stable"), default=None)


def _below(levels: Mapping[int, Level], edge: int | None) -> list[int]:
    """Return the places that were held below the first that is not stable, ascending."""
    return sorted(p for p in levels if edge is None or p < edge)


def _around(best: int, losses: Mapping[int, float], most: float) -> list[int]:
    """Return the places around the best, without a gap, whose loss is at most so high."""
    places = sorted(losses)
    low = high = places.index(best)
    while low and losses[places[low - 1]] <= most:
        low -= 1
    while high + 1 < len(places) and losses[places[high + 1]] <= most:
        high += 1
    return places[low : high + 1]


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
    def reading(self) -> RangeReading:
        """What the held rates say."""
        own = self.trial.optimizer.default_lr
        default = self.trial.problem.default_lr if own is None else own
        return reading_of(self.levels, self.start, default)

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
    experiment: Experiment, test: RangeTest, machine: Compute, make_bar: MakeBar
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
    """Return the trials of each setting, one for each seed, at a constant rate."""
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
        return median_of(first.values()) if first else math.nan

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
    found = family_of(trial.problem).theory.curvature(trial.problem, examples_of(trial))
    return limit_of(trial.optimizer, trial.method, found) if found else None


def _sizes(trial: Trial) -> Sizes | None:
    """Return how large the columns of the features are, None where the examples have none."""
    x = examples_of(trial).train.get("x")
    if isinstance(x, Sparse):
        sizes = x.sizes()
        sizes = sizes[(sizes > 0) & np.isfinite(sizes)]
        return Sizes(float(sizes.min()), float(sizes.max())) if sizes.size else None
    if not isinstance(x, np.ndarray) or x.ndim != 2 or x.dtype.kind != "f":
        return None
    with np.errstate(all="ignore"):
        sizes = np.sqrt(np.mean(np.square(x, dtype=np.float64), axis=0))
    sizes = sizes[(sizes > 0) & np.isfinite(sizes)]
    return Sizes(float(sizes.min()), float(sizes.max())) if sizes.size else None
