"""A heat map in the terminal: a table of medians, coloured by rank."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from rich.cells import cell_len
from rich.text import Text

from gdcli.report.blocks import Column, blocks
from gdcli.report.labels import short
from gdcli.report.pictures.picture import HeatMap, Square

# Viridis from the lowest loss to the highest: the colour-blind, and prints in grey, tell its
# colours apart by their brightness.
COLORS = (
    "black on #fde725",
    "black on #90d743",
    "black on #35b779",
    "black on #1f9e89",
    "bold #ffffff on #31688e",
    "bold #ffffff on #443983",
    "bold #ffffff on #440154",
)
BEST = "*"
MOST_COLUMNS = 48


def heatmap_lines(picture: HeatMap, width: int, *, colored: bool) -> list[Text]:
    """Return the lines of a table of medians over the seeds.

    A cell without a number says diverged, failed, or nothing where there is no trial.
    """
    best = [picture.best(row) for row in range(len(picture.rows))]
    styles = _styles(picture) if colored else {}
    shown = _shown(picture, best)
    columns = [_column(picture, place, best, styles) for place in shown]
    lines = blocks(Column(picture.x, picture.rows), columns, width)
    if len(shown) < len(picture.columns):
        lines.append(Text(f"{len(shown)} of {len(picture.columns)} columns are shown"))
    return [*lines, *_key(picture, best), *map(Text, picture.notes)]


def _shown(picture: HeatMap, best: Sequence[Square | None]) -> list[int]:
    """Return the columns, or where they are many every few of them and the best."""
    every = -(-len(picture.columns) // MOST_COLUMNS)
    chosen = {
        place
        for row, square in zip(picture.squares, best, strict=True)
        for place, other in enumerate(row)
        if other is not None and other is square
    }
    return [p for p in range(len(picture.columns)) if p % every == 0 or p in chosen]


def _column(
    picture: HeatMap, place: int, best: Sequence[Square | None], styles: dict[float, str]
) -> Column:
    squares = [row[place] for row in picture.squares]
    marks = [BEST if s and s is lowest else " " for s, lowest in zip(squares, best, strict=True)]
    texts = [_text(square) + mark for square, mark in zip(squares, marks, strict=True)]
    colors = [styles.get(square.value, "") if square else "" for square in squares]
    width = max(map(cell_len, [picture.columns[place], *texts]))
    # A square is coloured to its edges, so that those of a column are of one width.
    padded = [f"{text:>{width + len(text) - cell_len(text)}}" for text in texts]
    return Column(f"{picture.columns[place]} ".rjust(width), padded, colors)


def _text(square: Square | None) -> str:
    if square is None:
        return ""
    lost = f" {square.cell.diverged}/{len(square.cell.ran)}x" if square.cell.diverged else ""
    return square.text or short(square.value) + lost


def _styles(picture: HeatMap) -> dict[float, str]:
    """Return the colour of each finite value, by its rank among all."""
    values = {square.value for row in picture.squares for square in row if square}
    ranked = sorted(filter(isfinite, values))
    last = max(1, len(ranked) - 1)
    return {value: COLORS[rank * (len(COLORS) - 1) // last] for rank, value in enumerate(ranked)}


def _key(picture: HeatMap, best: Sequence[Square | None]) -> list[Text]:
    """Return a line that explains the marks, where there are some."""
    squares = [square for row in picture.squares for square in row if square]
    marks = [f"{BEST} {picture.best_is}"] if any(best) else []
    if any(square.cell.diverged and not square.text for square in squares):
        marks.append("1/3x: 1 of 3 seeds diverged")
    return [Text("; ".join(marks))] if marks else []
