"""Points in the terminal: a letter in every cell that holds some, that of most of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from gdcli.report.frame import DOTS, HEIGHT, Cell, Frame

if TYPE_CHECKING:
    from rich.text import Text


def scatter(
    points: Sequence[tuple[float, float]],
    marks: Sequence[str],
    colors: Mapping[str, str],
    frame: Frame,
) -> list[Text]:
    """Return the lines of a plot of points, each with its mark; of a tie the later colour wins."""
    found: dict[tuple[int, int], Counter[str]] = {}
    for point, mark in zip(points, marks, strict=True):
        across, up = frame.dot(*point)
        spot = HEIGHT - 1 - up // DOTS[1], across // DOTS[0]
        found.setdefault(spot, Counter())[mark] += 1
    order = list(colors)
    cells: list[list[Cell]] = [[(" ", "")] * frame.columns for _ in range(HEIGHT)]
    for (row, column), counts in found.items():
        mark = max(counts, key=lambda each: (counts[each], order.index(each)))
        cells[row][column] = (mark, colors[mark])
    return frame.lines(cells)
