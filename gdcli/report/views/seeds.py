"""What is printed of how sure the seeds make a run's results."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from gdcli.analysis.best import Setting, problem_of, settings_of
from gdcli.analysis.seeds import Pair, holm, pairs, seed_statistics
from gdcli.report.labels import namer

if TYPE_CHECKING:
    from gdcli.analysis.seeds import Interval
    from gdcli.runs.csv_read import Value
    from gdcli.runs.trials import Trials

Row: TypeAlias = "Mapping[str, Value]"
Namer: TypeAlias = Callable[[Setting], str]

SEED_NOTES = (
    "held_out: one half of the seeds chooses the lr, held_out_loss is the median of the other half",
    "  there: not lower by luck. train_loss is the median final training loss at the best of all",
    "  lr_tried rates; q1 and q3 are its quartiles; low and high are its bootstrap 95% interval,",
    "  which is too narrow for fewer than 6 seeds, and ignores that the same seeds chose the lr",
    "good: the rates next to the best that come 90% of the way from the start to the best loss",
)
P_NOTES = (
    "p: Wilcoxon's signed-rank test. With n seeds p is at least 2 / 2^n: 5 seeds or fewer",
    "  never come below 0.05",
)
NO_PAIRS = ("there is nothing to compare: fewer than two settings of a problem have a result",)
TRIED = "the more rates a setting tries, the lower its best by luck"
PAIR_NOTES = (
    "each setting at its best lr beside the best of its problem, over the seeds of both",
    "difference: the setting's final training loss less the best's, the median over the seeds;",
    "  low and high: its bootstrap 95% interval",
    *P_NOTES,
    "p_holm: p by Holm's correction for all pairs of the problem; neither corrects the choice of",
    "  the best; best_tried, tried: learning rates of each:",
    f"  {TRIED}",
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
        "held_out_loss": held.loss.median if held else None,
        "held_out_lr": held.lr if held else None,
        "held_out_seeds": held.loss.count if held else None,
        "lr": best.lr if best else None,
        "lr_tried": len(setting.cells) if best else None,
        "seeds": loss.count if loss else None,
        "train_loss": loss.median if loss else None,
        "q1": loss.low if loss and loss.count > 1 else None,
        "q3": loss.high if loss and loss.count > 1 else None,
        **_ends(found.interval),
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
    name, problem = namer(run.names, settings), partial(problem_of, run.names)
    found = list(pairs(settings, problem))
    corrected = _holm(found, problem)
    return [_pair(pair, name, p) for pair, p in zip(found, corrected, strict=True)]


def _holm(found: Sequence[Pair], problem: Callable[[Setting], str]) -> list[float | None]:
    """Return the p-values of pairs, corrected for all pairs of their problem."""
    families: dict[str, list[int]] = {}
    for place, pair in enumerate(found):
        families.setdefault(problem(pair.second), []).append(place)
    corrected: list[float | None] = [None] * len(found)
    for places in families.values():
        values = holm([found[place].p for place in places])
        for place, value in zip(places, values, strict=True):
            corrected[place] = value
    return corrected


def _pair(pair: Pair, name: Namer, corrected: float | None) -> Row:
    best, other = pair.first.best, pair.second.best
    return {
        "best": name(pair.first),
        "best_lr": best.lr if best else None,
        "best_tried": len(pair.first.cells),
        "setting": name(pair.second),
        "lr": other.lr if other else None,
        "tried": len(pair.second.cells),
        **difference_row(pair),
        "p_holm": corrected,
    }


def difference_row(pair: Pair) -> Row:
    """Return what the seeds of a pair say of its difference."""
    return {
        "seeds": pair.seeds,
        "difference": pair.difference,
        **_ends(pair.interval),
        "p": pair.p,
    }
