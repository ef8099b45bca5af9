"""How sure the seeds make a result: intervals, a choice that is not its own judge, sensitivity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite, isnan

from gdcli.analysis.bootstrap import Interval, median_interval
from gdcli.analysis.quantiles import Spread, median, spread
from gdcli.analysis.results import Cell, Setting
from gdcli.analysis.rows import Value
from gdcli.analysis.trials import Trial

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

    The lowest of several medians is lower by luck: over the seeds that did not choose it, it is
    not. None for fewer than four seeds, or where at no rate all of them ran.
    """
    seeds = list(dict.fromkeys(trial.seed for cell in setting.cells for trial in cell.trials))
    if len(seeds) < SPLIT_FROM:
        return None
    chosen_by, others = set(seeds[::2]), set(seeds[1::2])
    medians = {cell.lr: _median(_of(cell, chosen_by), len(chosen_by)) for cell in setting.cells}
    best = min(setting.cells, key=lambda cell: medians[cell.lr])
    rest = _of(best, others)
    if not isfinite(medians[best.lr]) or not rest:
        return None
    return HeldOut(best.lr, spread([trial.loss for trial in rest]))


def _of(cell: Cell, seeds: set[Value]) -> list[Trial]:
    return [trial for trial in cell.ran if trial.seed in seeds]


def _median(trials: Sequence[Trial], wanted: int) -> float:
    """Return the median loss of trials, inf unless all that are wanted ran."""
    return median([trial.loss for trial in trials]) if len(trials) == wanted else inf


def good_region(setting: Setting) -> Region | None:
    """Return the rates next to the best one that come nine tenths of the way from start to best.

    By medians over the seeds. None where the loss at the start is not known.
    """
    best, start = setting.best, _start(setting)
    if best is None or start is None or not isfinite(start):
        return None
    limit = best.median + GOOD * max(start - best.median, 0.0)
    place = setting.cells.index(best)
    first = last = place
    while first > 0 and setting.cells[first - 1].median <= limit:
        first -= 1
    while last + 1 < len(setting.cells) and setting.cells[last + 1].median <= limit:
        last += 1
    return Region(setting.cells[first].lr, setting.cells[last].lr, last - first + 1)


def _start(setting: Setting) -> float | None:
    """Return the median loss at the start."""
    starts = [trial.fact("initial_train_loss") for trial in setting.trials]
    known = [start for start in starts if start is not None and not isnan(start)]
    return median(known) if known else None
