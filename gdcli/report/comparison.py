"""Several runs: the settings that differ, their results side by side, and their profiles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import log2
from typing import TYPE_CHECKING, TypeAlias

from gdcli.analysis.best import KIND, Best
from gdcli.fields import shortened
from gdcli.measure import LOSS_NAMES
from gdcli.numbers import all_digits, for_json
from gdcli.report.charts.chart import MOST_LINES
from gdcli.report.charts.scale import SHARES
from gdcli.report.charts.terminal import PlotCurve, plot
from gdcli.report.console import literal, picture_width, print_lines
from gdcli.report.paired_settings import TRIED
from gdcli.report.text_tables import print_json, print_listing, print_rows, texts_of, write_lines

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from gdcli.analysis.targets import Profile, Steps
    from gdcli.runs.csv_read import Value

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


Row: TypeAlias = "Mapping[str, Value]"
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
