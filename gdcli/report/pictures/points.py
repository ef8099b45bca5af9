"""What a picture shows as rows of numbers, for programs and for those who cannot see it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gdcli.analysis.rows import Value
from gdcli.report.labels import for_json, in_full, short
from gdcli.report.listing import print_json, print_listing
from gdcli.report.pictures.picture import Chart, HeatMap

if TYPE_CHECKING:
    from rich.console import Console


def points(picture: Chart | HeatMap) -> list[dict[str, Value]]:
    """Return a row a point or a square, its numbers in full; inf where it diverged."""
    return _chart(picture) if isinstance(picture, Chart) else _heatmap(picture)


def print_points(picture: Chart | HeatMap, form: str, console: Console) -> None:
    """Print the rows as csv, json or md; in json nan and inf as text."""
    rows = points(picture)
    if form == "json":
        print_json([{k: for_json(v) for k, v in row.items()} for row in rows], console)
    else:
        text = short if form == "md" else in_full
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
