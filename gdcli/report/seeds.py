"""What is printed of how sure the seeds make a run's results."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from gdcli.analysis.compare import problem_of
from gdcli.analysis.paired import Pair, pairs
from gdcli.analysis.results import Setting, settings_of
from gdcli.analysis.seed_statistics import seed_statistics
from gdcli.report.labels import namer

if TYPE_CHECKING:
    from gdcli.analysis.bootstrap import Interval
    from gdcli.analysis.rows import Value
    from gdcli.analysis.trials import Trials

Row: TypeAlias = "Mapping[str, Value]"
Namer: TypeAlias = Callable[[Setting], str]

SEED_NOTES = (
    "train_loss is the median final training loss at the best lr; q1, q3 its quartiles;",
    "  low, high its bootstrap 95% interval, too narrow where there are fewer than 6 seeds",
    "held_out: the best lr of one half of the seeds, and the median loss of the other half there",
    "good: the rates next to the best that come 90% of the way from the start to the best loss",
)
PAIR_NOTES = (
    "each setting at its best lr beside the best of its problem, over the seeds of both:",
    "difference: median of its final training loss less the best's; low, high: bootstrap 95%",
    "  interval; p: Wilcoxon's signed-rank test, not corrected for the choice of the best",
)


def seed_rows(run: Trials) -> list[Row]:
    """Return one row a setting: its best learning rate, and how sure the seeds make it."""
    return [
        {**dict(zip(run.names, setting.values, strict=True)), **_statistics(setting)}
        for setting in settings_of(run.trials)
    ]


def _statistics(setting: Setting) -> Row:
    found, best = seed_statistics(setting), setting.best
    loss = best.loss if best else None
    held, good = found.held_out, found.good
    return {
        "lr": best.lr if best else None,
        "seeds": loss.count if loss else None,
        "train_loss": loss.median if loss else None,
        "q1": loss.low if loss else None,
        "q3": loss.high if loss else None,
        **_ends(found.interval),
        "held_out_lr": held.lr if held else None,
        "held_out_seeds": held.loss.count if held else None,
        "held_out_loss": held.loss.median if held else None,
        "good_from": good.low if good else None,
        "good_to": good.high if good else None,
        "good_rates": good.rates if good else None,
        "good_factor": good.high / good.low if good else None,
    }


def _ends(interval: Interval | None) -> Row:
    return {
        "low": interval.low if interval else None,
        "high": interval.high if interval else None,
    }


def pair_rows(run: Trials) -> list[Row]:
    """Return one row for each setting but the best of its problem, beside that."""
    settings = settings_of(run.trials)
    name = namer(run.names, settings)
    return [_pair(pair, name) for pair in pairs(settings, partial(problem_of, run.names))]


def _pair(pair: Pair, name: Namer) -> Row:
    best, other = pair.first.best, pair.second.best
    return {
        "best": name(pair.first),
        "best_lr": best.lr if best else None,
        "setting": name(pair.second),
        "lr": other.lr if other else None,
        **difference_row(pair),
    }


def difference_row(pair: Pair) -> Row:
    """Return what the seeds of a pair say of its difference."""
    return {
        "seeds": pair.seeds,
        "difference": pair.difference,
        **_ends(pair.interval),
        "p": pair.p,
    }
