"""Settings beside each other over the seeds that they share: of one run, or of several."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from gdcli.analysis.best import Setting, problem_of, settings_of
from gdcli.analysis.seeds import Pair, holm, pair, pairs
from gdcli.errors import UserError
from gdcli.fields import show, suggestion
from gdcli.report.text_tables import namer

if TYPE_CHECKING:
    from gdcli.analysis.seeds import Interval
    from gdcli.analysis.theory import RunConstants
    from gdcli.runs.csv_read import Value
    from gdcli.runs.trials import Trials

Row: TypeAlias = "Mapping[str, Value]"
Namer: TypeAlias = Callable[[Setting], str]

WHERE = "--pair"
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
NAMED_NOTES = (
    "each at its best lr, over the seeds of both; difference: the second's final training loss",
    "  less the first's, the median over the seeds; low and high: its bootstrap 95% interval",
    *P_NOTES,
    "first_tried, second_tried: learning rates of each:",
    f"  {TRIED}",
)


def pair_rows(run: Trials) -> list[Row]:
    """Return one row for each setting but the best of its problem, beside that."""
    settings = settings_of(run.trials)
    name, problem = namer(run.names, settings), partial(problem_of, run.names)
    found = list(pairs(settings, problem))
    corrected = _holm(found, problem)
    return [_pair(one, name, p) for one, p in zip(found, corrected, strict=True)]


def _holm(found: Sequence[Pair], problem: Callable[[Setting], str]) -> list[float | None]:
    """Return the p-values of pairs, corrected for all pairs of their problem."""
    families: dict[str, list[int]] = {}
    for place, one in enumerate(found):
        families.setdefault(problem(one.second), []).append(place)
    corrected: list[float | None] = [None] * len(found)
    for places in families.values():
        values = holm([found[place].p for place in places])
        for place, value in zip(places, values, strict=True):
            corrected[place] = value
    return corrected


def _pair(shown: Pair, name: Namer, corrected: float | None) -> Row:
    best, other = shown.first.best, shown.second.best
    return {
        "best": name(shown.first),
        "best_lr": best.lr if best else None,
        "best_tried": len(shown.first.candidates),
        "setting": name(shown.second),
        "lr": other.lr if other else None,
        "tried": len(shown.second.candidates),
        **difference_row(shown),
        "p_holm": corrected,
    }


def difference_row(shown: Pair) -> Row:
    """Return what the seeds of a pair say of its difference."""
    return {
        "seeds": shown.seeds,
        "difference": shown.difference,
        **_ends(shown.interval),
        "p": shown.p,
    }


def _ends(interval: Interval | None) -> Row:
    return {
        "low": interval.low if interval else None,
        "high": interval.high if interval else None,
    }


@dataclass(frozen=True)
class Side:
    """A setting of a run, as the row calls it."""

    name: str
    setting: Setting
    problem: str  # the same where losses of equal seeds can be compared


def pair_of_run(run: Trials, names: Sequence[str], theory: RunConstants) -> list[Row]:
    """Return the row of two settings of a run, by name or number; raises UserError."""
    return [_named_row(*(_side(run, theory, text) for text in names))]


def pair_of_runs(
    runs: Mapping[str, tuple[Trials, RunConstants]], names: Sequence[str]
) -> list[Row]:
    """Return the row of two settings of several runs: RUN, its best, or RUN:SETTING.

    Raises UserError for what is no run or setting, and where both have not the same problem.
    """
    return [_named_row(*(_of_runs(runs, text) for text in names))]


def _of_runs(runs: Mapping[str, tuple[Trials, RunConstants]], text: str) -> Side:
    given = text.strip()
    # The longest name first: a folder's may have a colon of its own.
    for name in sorted(runs, key=len, reverse=True):
        if given == name or given.startswith(f"{name}:"):
            side = _side(*runs[name], given[len(name) + 1 :])
            return Side(f"{name}: {side.name}", side.setting, side.problem)
    hint = suggestion(given, list(runs)) or f"begin with one of {', '.join(runs)}"
    raise UserError(WHERE, f"{show(text)} names none of the runs", hint)


def _side(run: Trials, theory: RunConstants, text: str) -> Side:
    settings = settings_of(run.trials)
    name = namer(run.names, settings)
    if not settings:
        raise UserError(WHERE, "the run has no trials", "name another run")
    setting = _found(settings, name, text.strip()) if text else min(settings, key=_median)
    facts = theory.of(run.names, setting.values)
    problem = facts.identity if facts else problem_of(run.names, setting)
    return Side(name(setting), setting, problem)


def _median(setting: Setting) -> float:
    return setting.median


def _found(settings: Sequence[Setting], name: Callable[[Setting], str], text: str) -> Setting:
    """Return a setting by the name that the tables have for it, or by its number in them."""
    by_name = {name(setting): setting for setting in settings}
    if text in by_name:
        return by_name[text]
    if text.isdecimal() and 1 <= int(text) <= len(settings):
        return settings[int(text) - 1]
    hint = suggestion(text, list(by_name)) or (
        f"give a name from the table of results, such as '{next(iter(by_name))}', or its row, "
        f"1 to {len(settings)}"
    )
    raise UserError(WHERE, f"there is no setting {show(text)}", hint)


def _named_row(first: Side, second: Side) -> Row:
    if first.setting is second.setting or (first.name == second.name):
        raise UserError(WHERE, f"both are {show(first.name)}", "name two settings")
    if first.problem != second.problem:
        what = f"{show(first.name)} and {show(second.name)} are of different problems or data"
        raise UserError(WHERE, what, "their seeds pair nothing: name two of one problem")
    return {
        "first": first.name,
        "first_lr": first.setting.best.lr if first.setting.best else None,
        "first_tried": len(first.setting.candidates),
        "second": second.name,
        "second_lr": second.setting.best.lr if second.setting.best else None,
        "second_tried": len(second.setting.candidates),
        **difference_row(pair(first.setting, second.setting)),
    }
