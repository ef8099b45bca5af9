"""Runs and settings beside each other: what differs, their results, seed by seed, and profiles."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import log2
from typing import TYPE_CHECKING, TypeAlias

from gdcli.analysis.best import KIND, Best, Setting, problem_of, settings_of
from gdcli.analysis.seeds import Pair, holm, pair, pairs
from gdcli.errors import UserError
from gdcli.fields import shortened, show, suggestion
from gdcli.measure import LOSS_NAMES
from gdcli.numbers import all_digits, for_json
from gdcli.report.charts.chart import MOST_LINES, SHARES
from gdcli.report.charts.terminal import PlotCurve, plot
from gdcli.report.console import literal, picture_width, print_lines
from gdcli.report.text_tables import (
    namer,
    print_json,
    print_listing,
    print_rows,
    texts_of,
    write_lines,
)

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from gdcli.analysis.seeds import Interval
    from gdcli.analysis.targets import Profile, Steps
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

    Raises UserError for what is not a run or setting, and where both have not the same problem.
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


MOST = 200  # characters of a setting, which may be a list of thousands; json has all of it
Differences = Mapping[str, Mapping[str, str]]


def print_comparison(
    differences: Differences,
    results: Sequence[Best],
    form: str,
    console: Console,
    notes: Sequence[str] = (),
) -> None:
    """Print both in the `form` table, md or json, with notes; as csv the results alone."""
    rows = _result_rows(results)
    if form == "json":
        exact = [{name: for_json(value) for name, value in row.items()} for row in rows]
        print_json({"settings": differences, "notes": [*notes], "results": exact}, console)
        return
    if form != "csv":
        _print_settings(differences, form, console)
        write_lines([*map(literal, notes), *([""] if notes else [])], console)
    shown = _columns(rows) if form == "table" else list(rows[0]) if rows else []
    if form == "csv":
        full = [{name: all_digits(row[name]) for name in shown} for row in rows]
        print_listing(full, form, console)
        return
    rates = [cell.lr for best in results for cell in best.setting.candidates]
    print_listing(texts_of(rows, shown, rates), form, console)
    if len({best.tried for best in results}) > 1:
        what = "tried: learning rates and options of which each is the best:"
        write_lines([what, f"  {TRIED}"], console)


def _print_settings(differences: Differences, form: str, console: Console) -> None:
    if not differences:
        write_lines(["The settings are the same.", ""], console)
        return
    rows = [
        {"setting": key, **{name: shortened(text, MOST) for name, text in values.items()}}
        for key, values in differences.items()
    ]
    print_listing(rows, form, console)
    write_lines([""], console)


def _result_rows(results: Sequence[Best]) -> list[dict[str, Value]]:
    """Return one row a run of each kind; the columns are those of all runs."""
    metrics = dict.fromkeys(
        name for best in results for trial in best.setting.trials for name in _metrics(trial.final)
    )
    return [_result_row(best, list(metrics)) for best in results]


def _metrics(final: Mapping[str, object]) -> list[str]:
    return [name for name in final if name not in LOSS_NAMES]


def _result_row(best: Best, metrics: Sequence[str]) -> dict[str, Value]:
    cell = best.setting.best
    loss = cell.loss if cell else None
    known = {name for trial in best.setting.trials for name in trial.final}
    return {
        **dict(zip(KIND, best.kind, strict=True)),
        "run": best.run,
        "lr": cell.lr if cell else None,
        "tried": best.tried,
        "settings": best.settings,
        "seeds": loss.count if loss else None,
        "train_loss": loss.median if loss else None,
        "test_loss": cell.test_loss() if cell else None,
        **{name: cell.metric(name) if cell and name in known else None for name in metrics},
        "trials": best.trials,
        "diverged": best.diverged,
        "failed": best.failed,
    }


def _columns(rows: Sequence[Mapping[str, Value]]) -> list[str]:
    """Return the columns that say something."""
    names = rows[0] if rows else ()
    return [
        name for name in names if any(isinstance(row[name], float) or row[name] for row in rows)
    ]


RATIOS = (1, 2, 5, 10)


def print_profiles(found: Sequence[Profile], form: str, console: Console) -> None:
    """Print the solvers as md or `table`, with both profiles as json, their steps as csv.

    csv has a row wherever a share rises: profile, solver, x and share.
    """
    if form == "csv":
        rows = [{name: all_digits(value) for name, value in row.items()} for row in _points(found)]
        print_listing(rows, form, console)
    elif form == "json":
        print_json([_whole(profile) for profile in found], console)
    else:
        print_rows([_row(profile) for profile in found], form, console)
    if form == "table" and found:
        print_lines(_lines(found, console), console)


def _row(profile: Profile) -> dict[str, Value]:
    shares: dict[str, Value] = {f"within_{r}x": profile.within(r) for r in RATIOS}
    counts = {"instances": len(profile.epochs), "solved": profile.solved}
    return {"solver": profile.solver, **counts, **shares}


def _whole(profile: Profile) -> dict[str, object]:
    steps = {"performance": profile.performance, "data": profile.data}
    return {**_row(profile), **{name: [list(p) for p in held] for name, held in steps.items()}}


def _points(found: Sequence[Profile]) -> Iterator[Row]:
    for profile in found:
        for name, steps in (("performance", profile.performance), ("data", profile.data)):
            for x, share in steps:
                yield {"profile": name, "solver": profile.solver, "x": x, "share": share}


def _lines(found: Sequence[Profile], console: Console) -> Iterator[str | Text]:
    yield "within: share of the instances solved in at most so many times the fewest epochs"
    if console.options.ascii_only:
        yield f"\nThe plots need UTF-8, and the output is {console.encoding}"
        return
    width = picture_width(console)
    shown = sorted(found, key=lambda profile: -profile.solved)[:MOST_LINES]
    ratios = {p.solver: [(log2(x), y) for x, y in p.performance] for p in shown}
    yield "\nPerformance profile: share solved within 2^x times the fewest epochs"
    yield from plot(_curves(ratios), width, "log2 ratio", SHARES)
    yield "\nData profile: share solved within x epochs"
    yield from plot(_curves({p.solver: p.data for p in shown}), width, "epochs", SHARES)
    if len(found) > len(shown):
        yield f"   the {len(shown)} of {len(found)} solvers that solve the most"


def _curves(steps: Mapping[str, Steps]) -> list[PlotCurve]:
    """Return the curves of steps, all as far to the right as the furthest."""
    end = max(points[-1][0] for points in steps.values())
    return [PlotCurve(literal(name), _corners(points, end)) for name, points in steps.items()]


def _corners(points: Steps, end: float) -> list[tuple[float, float]]:
    """Return the corners of a function that is constant between its steps."""
    corners: list[tuple[float, float]] = []
    for x, share in points:
        corners += [(x, corners[-1][1])] if corners else []
        corners.append((x, share))
    return [*corners, (end, corners[-1][1])]
