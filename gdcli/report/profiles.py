"""What is printed of performance and data profiles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import log2
from typing import TYPE_CHECKING, TypeAlias

from gdcli.report.charts.chart import MOST_LINES
from gdcli.report.charts.scale import SHARES
from gdcli.report.charts.terminal import PlotCurve, plot
from gdcli.report.console import literal, print_lines
from gdcli.report.labels import all_digits
from gdcli.report.text_tables import print_json, print_listing, print_rows

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from gdcli.analysis.targets import Profile, Steps
    from gdcli.runs.csv_read import Value

Row: TypeAlias = "Mapping[str, Value]"
OFF_TERMINAL = 80  # columns of a plot in a file or a pipe
RATIOS = (1, 2, 5, 10)


def print_profiles(found: Sequence[Profile], form: str, console: Console) -> None:
    """Print a row a solver as md, with both profiles as json, their steps as csv; or as `table`.

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
    width = console.width if console.is_terminal else OFF_TERMINAL
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
