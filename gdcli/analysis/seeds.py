"""How sure the seeds make a result.

Bootstrap intervals of a median, the learning rate that some seeds choose and others judge, good
regions, and two settings over the seeds they share, with Wilcoxon's signed-rank test (1945).
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from math import erfc, inf, isfinite, isnan, sqrt
from typing import TYPE_CHECKING

import numpy as np

from gdcli.analysis.best import Setting
from gdcli.analysis.quantiles import Spread, median, spread

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gdcli.analysis.best import Candidate
    from gdcli.runs.csv_read import Value
    from gdcli.runs.trials import TrialResult

RESAMPLES = 4000
LEVEL = 0.95
FEWEST = 3  # numbers; of one or two there is nothing to resample


@dataclass(frozen=True)
class Interval:
    """The ends of an interval, which may be infinite where trials diverged."""

    low: float
    high: float


def median_interval(values: Sequence[float]) -> Interval | None:
    """Return the percentile bootstrap 95% interval of the median; None of too few numbers.

    No number may be NaN. The ends are medians of resamples, not interpolated, since some are inf.
    With fewer than six numbers the interval covers the median less often than 95%: no interval
    between the smallest and the largest number does.
    """
    if len(values) < FEWEST:
        return None
    drawn = np.sort(np.asarray(values, float)[_resamples(len(values))], axis=1)
    middle = drawn.shape[1] // 2
    lower = drawn[:, middle] if drawn.shape[1] % 2 else drawn[:, middle - 1]
    with np.errstate(invalid="ignore"):
        means = np.where(lower == drawn[:, middle], lower, lower / 2 + drawn[:, middle] / 2)
    medians = np.sort(np.where(np.isnan(means), 0.0, means))  # half-way between -inf and inf
    tail = int(RESAMPLES * (1 - LEVEL) / 2)
    return Interval(float(medians[tail]), float(medians[-1 - tail]))


@lru_cache(maxsize=64)
def _resamples(count: int) -> NDArray[np.int64]:
    """Return which of `count` numbers each resample has, shape (RESAMPLES, count)."""
    # Python promises the same sequence in every version; NumPy's generators, which SciPy's
    # bootstrap draws from, do not.
    draw = random.Random(count).random  # noqa: S311 -- no secret
    uniform = [[draw() for _ in range(count)] for _ in range(RESAMPLES)]
    return (np.array(uniform) * count).astype(np.int64)


SPLIT_FROM = 4  # seeds: two to choose by, two to report
GOOD = 0.1  # of the way from the best loss back to the start that a good rate may be short of


@dataclass(frozen=True)
class HeldOut:
    """A learning rate chosen by some of the seeds, and its losses over the others."""

    lr: float
    loss: Spread


@dataclass(frozen=True)
class Region:
    """The learning rates around the best one that are about as good."""

    low: float
    high: float
    rates: int  # of the grid


@dataclass(frozen=True)
class SeedStatistics:
    """What the seeds of a setting say; None where there are too few, or all diverged."""

    interval: Interval | None  # of the median final training loss at the best learning rate
    held_out: HeldOut | None
    good: Region | None


def seed_statistics(setting: Setting) -> SeedStatistics:
    """Return the statistics of a setting."""
    best = setting.best
    if best is None:
        return SeedStatistics(None, None, None)
    losses = [trial.loss for trial in best.ran]
    return SeedStatistics(median_interval(losses), held_out(setting), good_region(setting))


def held_out(setting: Setting) -> HeldOut | None:
    """Return the best learning rate of every other seed, with the losses of the rest there.

    The lowest of several medians is partly luck; over the seeds that did not choose the rate it is
    not. None for fewer than four seeds, or where at no rate all the seeds that choose ran.
    """
    seeds = list(
        dict.fromkeys(trial.seed for candidate in setting.candidates for trial in candidate.trials)
    )
    if len(seeds) < SPLIT_FROM:
        return None
    chosen_by, others = set(seeds[::2]), set(seeds[1::2])
    medians = {
        candidate.lr: _median(_of(candidate, chosen_by), len(chosen_by))
        for candidate in setting.candidates
    }
    best = min(setting.candidates, key=lambda candidate: medians[candidate.lr])
    rest = _of(best, others)
    if not isfinite(medians[best.lr]) or not rest:
        return None
    return HeldOut(best.lr, spread([trial.loss for trial in rest]))


def _of(candidate: Candidate, seeds: set[Value]) -> list[TrialResult]:
    return [trial for trial in candidate.ran if trial.seed in seeds]


def _median(trials: Sequence[TrialResult], wanted: int) -> float:
    """Return the median loss of the trials; inf unless there are as many as `wanted`."""
    return median([trial.loss for trial in trials]) if len(trials) == wanted else inf


def good_region(setting: Setting) -> Region | None:
    """Return the rates next to the best one that come nine tenths of the way from start to best.

    Losses are medians over the seeds. None where the loss at the start is not known.
    """
    best, start = setting.best, _start(setting)
    if best is None or start is None or not isfinite(start):
        return None
    limit = best.median + GOOD * max(start - best.median, 0.0)
    place = setting.candidates.index(best)
    first = last = place
    while first > 0 and setting.candidates[first - 1].median <= limit:
        first -= 1
    while last + 1 < len(setting.candidates) and setting.candidates[last + 1].median <= limit:
        last += 1
    return Region(setting.candidates[first].lr, setting.candidates[last].lr, last - first + 1)


def _start(setting: Setting) -> float | None:
    """Return the median loss at the start."""
    starts = [trial.fact("initial_train_loss") for trial in setting.trials]
    known = [start for start in starts if start is not None and not isnan(start)]
    return median(known) if known else None


# SciPy's own test gives the same values where it is exact, which is not its default where
# differences tie; it takes 0.8 s of processor time to import, twice that of the whole view.
MOST_EXACT = 50  # differences; of more the normal approximation is as good


def signed_rank_p(differences: Sequence[float]) -> float | None:
    """Return the two-sided p-value; None where no difference is other than 0.

    Differences of 0 are left out, as Wilcoxon did, and equal ones share their mean rank. Up to
    fifty differences the distribution is exact, with the ranks as they are; beyond, normal, with
    the variance that ties leave. Differences may be infinite, and none may be NaN.
    """
    signed = sorted((d for d in differences if d != 0), key=abs)
    if not signed:
        return None
    ranks = _doubled_ranks([abs(d) for d in signed])
    positive = sum(rank for rank, d in zip(ranks, signed, strict=True) if d > 0)
    tail = _exact_tail if len(signed) <= MOST_EXACT else _normal_tail
    return min(1.0, 2 * tail(ranks, min(positive, sum(ranks) - positive)))


def _doubled_ranks(ordered: Sequence[float]) -> list[int]:
    """Return twice the rank of each of sorted numbers: whole, though equal ones share theirs."""
    ranks: list[int] = []
    for _, group in groupby(ordered):
        size = len(list(group))
        ranks += [2 * len(ranks) + size + 1] * size
    return ranks


def _exact_tail(ranks: Sequence[int], least: int) -> float:
    """Return the share of all signs whose positive ranks sum to `least` or less."""
    ways = Counter({0: 1})
    for rank in ranks:
        more = Counter({total + rank: count for total, count in ways.items()})
        ways += more
    return sum(count for total, count in ways.items() if total <= least) / (1 << len(ranks))


def _normal_tail(ranks: Sequence[int], least: int) -> float:
    """Return the same by the normal approximation: the ranks' signs are independent."""
    mean, deviation = sum(ranks) / 2, sqrt(sum(rank * rank for rank in ranks)) / 2
    return erfc((mean - least) / deviation / sqrt(2)) / 2


Key = Callable[[Setting], object]


@dataclass(frozen=True)
class Pair:
    """Two settings over the seeds they share."""

    first: Setting
    second: Setting
    seeds: int  # that both have a result for
    difference: float | None  # the median over them of the second's final training loss less the
    # first's; inf where the second alone diverged
    interval: Interval | None
    p: float | None  # that differences as large come about by chance; None: there are none


def pairs(settings: Sequence[Setting], problem: Key) -> Iterator[Pair]:
    """Yield every setting beside that with the lowest median, among those of one `problem`."""
    groups: dict[object, list[Setting]] = {}
    for setting in settings:
        groups.setdefault(problem(setting), []).append(setting)
    for group in groups.values():
        best = min(group, key=lambda setting: setting.median)
        if best.best is not None:
            yield from (pair(best, other) for other in group if other is not best)


def pair(first: Setting, second: Setting) -> Pair:
    """Return what the seeds of both say: equal seeds have the same start and the same examples."""
    ours, theirs = _losses(first), _losses(second)
    differences = [_difference(theirs[seed], ours[seed]) for seed in ours if seed in theirs]
    if not differences:
        return Pair(first, second, 0, None, None, None)
    middle = median(differences)
    return Pair(
        first,
        second,
        len(differences),
        0.0 if isnan(middle) else middle,  # half-way between -inf and inf
        median_interval(differences),
        signed_rank_p(differences),
    )


def holm(values: Sequence[float | None]) -> list[float | None]:
    """Return p-values corrected for how many they are (Holm 1979); None stays so, and counts not.

    If all pairs were equal, the chance that any corrected value is below a level is at most that
    level.
    """
    order = sorted((p, place) for place, p in enumerate(values) if p is not None)
    corrected: list[float | None] = [None] * len(values)
    highest = 0.0
    for rank, (p, place) in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * p))
        corrected[place] = highest
    return corrected


def _losses(setting: Setting) -> dict[Value, float]:
    """Return the final losses at the best learning rate, by seed."""
    candidate = setting.best or setting.candidates[0]
    return {trial.seed: trial.loss for trial in candidate.ran}


def _difference(loss: float, other: float) -> float:
    """Return how much one loss is above another; 0 where both trials diverged."""
    difference = loss - other
    return 0.0 if isnan(difference) else difference
