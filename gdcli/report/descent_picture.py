"""Gradient descent on a formula in the terminal: the way down, as far as two weights show it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from rich.text import Text

from gdcli.expression.descent import losses_at
from gdcli.report.contour import cell_of, ground, key
from gdcli.report.descent_window import shown_points, sides
from gdcli.report.frame import DOTS, HEIGHT, Cell, Frame
from gdcli.report.height import height_scale
from gdcli.report.plot import COLORS, PlotCurve, plot
from gdcli.report.scale import Scale

if TYPE_CHECKING:
    from gdcli.expression.descent import Descent

POINTS = 64  # of each side of a map
LINEAR = 1e4  # a symmetric scale is as good as linear up to so many times its range
LINE, MARKS, LATER, LAST = "·", "0123456789", "+", "@"
LEGEND = " 0 the start, 1 to 9 after so many steps, + later ones, @ the last"


def descent_picture(descent: Descent, width: int, *, colored: bool = False) -> list[Text]:
    """Return the lines: the curve of one weight, the map of two, else the loss over the steps."""
    shown = shown_points(descent)
    count = len(descent.formula.variables)
    if count not in {1, 2} or len(shown) < 2:
        losses = [*(step.loss for step in descent.steps), descent.end]
        points = [(float(step), loss) for step, loss in enumerate(losses)]
        return plot([PlotCurve("loss", points)], width, "step")
    one, two = partial(_curve, descent, shown), partial(_map, descent, shown, colored=colored)
    lines = [*(one(width) if count == 1 else two(width)), Text(LEGEND)]
    if left := len(descent.points) - len(shown):
        lines.append(Text(f" {left} of {len(descent.points)} points lie far outside"))
    return lines


def _curve(descent: Descent, shown: Sequence[Sequence[float]], width: int) -> list[Text]:
    """Return the curve of the loss over the only weight, with the points on it."""
    (name,) = descent.formula.variables
    wanted = [point[0] for point in shown]
    ((left, right),) = sides(descent, shown)
    xs = np.linspace(left, right, DOTS[0] * width)
    losses = np.broadcast_to(losses_at(descent.formula, {name: xs}), xs.shape)
    finite = losses[np.isfinite(losses)]
    low, high = float(finite.min()), float(finite.max())
    frame = Frame(_linear(low, high), left, right, width, name)
    cells: list[list[Cell]] = [[(" ", "")] * frame.columns for _ in range(HEIGHT)]
    for x, loss in zip(xs, losses, strict=True):
        if np.isfinite(loss):
            row, column = cell_of(frame, float(x), float(loss))
            cells[row][column] = (LINE, COLORS[0])
    heights = [float(losses_at(descent.formula, {name: x})) for x in wanted]
    marked = [cell_of(frame, *point) for point in zip(wanted, heights, strict=True)]
    _mark(cells, marked, f"bold {COLORS[4]}")
    return frame.lines(cells)


def _map(
    descent: Descent, shown: Sequence[Sequence[float]], width: int, *, colored: bool
) -> list[Text]:
    """Return the loss over both weights as shades, with the points on them."""
    x_name, y_name = descent.formula.variables
    (left, right), (low, high) = sides(descent, shown)
    xs, ys = np.meshgrid(np.linspace(left, right, POINTS), np.linspace(low, high, POINTS))
    losses = np.broadcast_to(losses_at(descent.formula, {x_name: xs, y_name: ys}), xs.shape)
    scale = height_scale(losses)
    if scale is None:
        return [Text("no point of the map has a finite loss")]
    frame = Frame(_linear(low, high), left, right, width, x_name)
    cells = ground(losses, scale, frame, colored=colored)
    ground_color = "black on " if colored else ""
    _mark(cells, [cell_of(frame, *point) for point in shown], f"bold {ground_color}{COLORS[4]}")
    return [Text(f"{y_name}, upwards"), *frame.lines(cells), *key(scale, colored=colored)]


def _linear(low: float, high: float) -> Scale:
    return Scale(low, high, LINEAR * max(abs(low), abs(high), 1e-300))


def _mark(cells: list[list[Cell]], places: Sequence[tuple[int, int]], style: str) -> None:
    """Put a mark on each point; of several in one cell the last of all is seen, or the first."""
    (*others, last) = ((place, _mark_of(order, len(places))) for order, place in enumerate(places))
    for (row, column), mark in [*reversed(others), last]:
        cells[row][column] = (mark, style)


def _mark_of(order: int, count: int) -> str:
    if order < len(MARKS):
        return MARKS[order]
    return LAST if order == count - 1 else LATER
