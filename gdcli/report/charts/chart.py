"""What a picture shows, wherever it is drawn; also as rows of numbers, to be read or heard."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, NamedTuple

from gdcli.analysis.best import Candidate, best
from gdcli.numbers import all_digits, for_json, rounded
from gdcli.report.text_tables import print_json, print_listing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from gdcli.analysis.quantiles import Spread
    from gdcli.runs.csv_read import Value

DIVERGED, NOT_FINITE = "diverged", "not finite"  # what values say that no axis has a place for
MOST_LINES = 6  # of one panel: more are hard to tell apart, and there is no colour for them


class Line(NamedTuple):
    """Values over x, spread over the seeds; inf where half of the seeds diverged."""

    label: str
    points: Sequence[tuple[float, Spread]]
    diverged: bool = False  # it may leave the picture: the others alone set its scale
    shade: float | None = None  # 0 to 1: where it stands in an order that the panels share


class Panel(NamedTuple):
    """Lines that share their axes."""

    title: str
    lines: Sequence[Line]


def panel_of(title: str, lines: Sequence[Line]) -> Panel:
    """Return a panel of the lines that have a point; the others are named in its title."""
    drawn = [line for line in lines if line.points]
    failed = ", ".join(line.label for line in lines if not line.points)
    titles = [title, f"failed: {failed}" if failed else ""]
    return Panel("; ".join(filter(None, titles)), drawn)


class Chart(NamedTuple):
    """One panel or several, all with the same axes."""

    title: str
    panels: Sequence[Panel]
    x: str
    y: str
    log_x: bool = False
    log_y: bool = True  # else only where the values differ by orders of magnitude
    notes: Sequence[str] = ()  # what is left out
    share: bool = False  # values from 0 to 1, of which those near 1 are told apart
    lost: str = DIVERGED  # what values say that are not finite


class Square(NamedTuple):
    """One field of a heat map: the trials that share its row and its column."""

    cell: Candidate  # the best of them, all seeds of one setting at one learning rate
    value: float  # its median: inf where half of the seeds diverged or none has a result

    @property
    def text(self) -> str:
        """What became of it where there is no number, else nothing."""
        if not self.cell.ran:
            return "failed"
        return "" if isfinite(self.value) else "diverged"


class HeatMap(NamedTuple):
    """Medians over two axes."""

    title: str
    x: str
    y: str
    columns: Sequence[str]
    rows: Sequence[str]
    squares: Sequence[Sequence[Square | None]]  # row by row; None: there is no trial
    notes: Sequence[str] = ()
    best_is: str = "best of its row"
    log: bool = True  # as `Chart.log_y` and `Chart.share`, for the colours
    share: bool = False

    def best(self, row: int) -> Square | None:
        """Return the square of a row with the best trials, as `best` has it; None: all diverged."""
        there = [square for square in self.squares[row] if square]
        found = best([square.cell for square in there])
        return next((square for square in there if square.cell is found), None)


def points(picture: Chart | HeatMap) -> list[dict[str, Value]]:
    """Return a row for each point or square, its numbers in full; inf where it diverged."""
    return _chart(picture) if isinstance(picture, Chart) else _heatmap(picture)


def print_points(picture: Chart | HeatMap, form: str, console: Console) -> None:
    """Print the rows as csv, json or md; in json nan and inf as text."""
    rows = points(picture)
    if form == "json":
        print_json([{k: for_json(v) for k, v in row.items()} for row in rows], console)
    else:
        text = rounded if form == "md" else all_digits
        print_listing([{k: text(v) for k, v in row.items()} for row in rows], form, console)


def _chart(picture: Chart) -> list[dict[str, Value]]:
    return [
        {
            **({"panel": panel.title} if len(picture.panels) > 1 else {}),
            "line": line.label,
            picture.x: x,
            "median": values.median,
            "q1": values.low,
            "q3": values.high,
            "seeds": values.count,
        }
        for panel in picture.panels
        for line in panel.lines
        for x, values in line.points
    ]


def _heatmap(picture: HeatMap) -> list[dict[str, Value]]:
    return [
        {
            picture.y: row,
            picture.x: column,
            "median": square.value if square.cell.ran else None,
            "seeds": len(square.cell.ran),
        }
        for row, squares in zip(picture.rows, picture.squares, strict=True)
        for column, square in zip(picture.columns, squares, strict=True)
        if square
    ]
