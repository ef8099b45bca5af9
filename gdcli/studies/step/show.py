"""Gradient descent on a formula in the terminal: its steps, the way down, and the chain rule."""

from __future__ import annotations

from functools import partial
from math import isfinite
from typing import TYPE_CHECKING

import numpy as np
from rich.text import Text

from gdcli.fields import counted
from gdcli.numbers import distinct_labels
from gdcli.report.charts.chart import Scale
from gdcli.report.charts.terminal import DOTS, HEIGHT, TERMINAL_COLORS, Cell, Frame, PlotCurve, plot
from gdcli.report.console import has_colors, picture_width
from gdcli.report.text_tables import print_rows, write_lines
from gdcli.studies.landscape.show import cell_of, ground, height_scale, key
from gdcli.studies.step.descent import Link, descend, disagreement, losses_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rich.console import Console

    from gdcli.runs.csv_read import Value
    from gdcli.studies.step.descent import Descent, DescentStep

MARGIN = 0.15  # around what must be in the picture, of its size
FAR = 100  # times the first step: a minimum that is further away is not waited for
WILD = 100  # times the start's loss: points above it would flatten all the others


def shown_points(descent: Descent) -> list[list[float]]:
    """Return the points that the picture makes room for: those before the first wild one."""
    shown: list[list[float]] = []
    most = WILD * max(1.0, abs(descent.steps[0].loss))
    for point in descent.points:
        if not abs(float(losses_at(descent.formula, point))) <= most:
            break
        shown.append([point[name] for name in descent.formula.variables])
    return shown


def sides(descent: Descent, shown: Sequence[Sequence[float]]) -> list[tuple[float, float]]:
    """Return the ends of each weight's side; of one weight, with a minimum that is near."""
    columns = [list(column) for column in zip(*shown, strict=True)]
    if len(columns) == 1:
        columns[0] += _minimum(descent, columns[0])
    return [_padded(column) for column in columns]


def _minimum(descent: Descent, shown: Sequence[float]) -> list[float]:
    """Return where the slopes at the first two points say that it is 0, if that is near enough."""
    (name,) = descent.formula.variables
    start, after = shown[:2]
    first = descent.steps[0].gradient[name]
    second = descend(descent.formula, {name: after}, 1.0, 1).steps[0].gradient[name]
    if start == after or not (second - first) / (after - start) > 0:
        return []
    distance = -first * (after - start) / (second - first)
    return [start + distance] if abs(distance) <= FAR * abs(after - start) else []


def _padded(values: Sequence[float]) -> tuple[float, float]:
    """Return the ends of a side that has values in it, with some margin."""
    low, high = min(values), max(values)
    margin = MARGIN * (high - low) or 1.0
    return low - margin, high + margin


MAP_POINTS = 64  # of each side of a map
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
    one, two = (
        partial(_terminal_curve, descent, shown),
        partial(_terminal_map, descent, shown, colored=colored),
    )
    lines = [*(one(width) if count == 1 else two(width)), Text(LEGEND)]
    if left := len(descent.points) - len(shown):
        lines.append(Text(f" {left} of {len(descent.points)} points lie far outside"))
    return lines


def _terminal_curve(descent: Descent, shown: Sequence[Sequence[float]], width: int) -> list[Text]:
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
            cells[row][column] = (LINE, TERMINAL_COLORS[0])
    heights = [float(losses_at(descent.formula, {name: x})) for x in wanted]
    marked = [cell_of(frame, *point) for point in zip(wanted, heights, strict=True)]
    _mark(cells, marked, f"bold {TERMINAL_COLORS[4]}")
    return frame.lines(cells)


def _terminal_map(
    descent: Descent, shown: Sequence[Sequence[float]], width: int, *, colored: bool
) -> list[Text]:
    """Return the loss over both weights as shades, with the points on them."""
    x_name, y_name = descent.formula.variables
    (left, right), (low, high) = sides(descent, shown)
    xs, ys = np.meshgrid(np.linspace(left, right, MAP_POINTS), np.linspace(low, high, MAP_POINTS))
    losses = np.broadcast_to(losses_at(descent.formula, {x_name: xs, y_name: ys}), xs.shape)
    scale = height_scale(losses)
    if scale is None:
        return [Text("no point of the map has a finite loss")]
    frame = Frame(_linear(low, high), left, right, width, x_name)
    cells = ground(losses, scale, frame, colored=colored)
    ground_color = "black on " if colored else ""
    _mark(
        cells,
        [cell_of(frame, *point) for point in shown],
        f"bold {ground_color}{TERMINAL_COLORS[4]}",
    )
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


SOUND = 1e-6  # central differences in float64 agree to some 1e-10; at a kink to nothing


def print_descent(descent: Descent, form: str, console: Console) -> None:
    """Print a row for each step and weight; below the `form` table, how it went, and a picture."""
    print_rows(step_rows(descent.steps), form, console)
    if form == "table":
        write_lines(list(how_it_went(descent)), console)
        if console.options.ascii_only:
            write_lines([f"The picture needs UTF-8, and the output is {console.encoding}"], console)
            return
        width = picture_width(console)
        for line in descent_picture(descent, width, colored=has_colors(console)):
            console.print(line, soft_wrap=True)


def step_rows(steps: Sequence[DescentStep]) -> list[dict[str, Value]]:
    """Return a row for each step and weight."""
    return [row for step in steps for row in _rows(step)]


def _rows(step: DescentStep) -> Iterator[dict[str, Value]]:
    for name, weight in step.weights.items():
        yield {
            "step": step.number,
            "weight": name,
            "value": weight,
            "loss": step.loss,
            "gradient": step.gradient[name],
            "lr x gradient": step.move[name],
            "updated": step.updated[name],
        }


def how_it_went(descent: Descent) -> Iterator[str]:
    """Yield the sentence on how the loss changed."""
    count, last = len(descent.steps), descent.steps[-1]
    steps = counted(count, "step", "steps")
    if not isfinite(last.loss):
        # A formula that leaves its domain, as log does at -9, has no value: it does not diverge.
        ended = "diverged" if last.loss > 0 else "stopped"
        yield f"{ended} at step {count}: the loss is {last.loss} at {_point(last.weights)}"
    elif not last.finite:
        lost = {name: value for name, value in last.updated.items() if not isfinite(value)}
        yield f"diverged at step {count}: the update is {_point(lost)}"
    elif not isfinite(descent.end):
        yield f"after {steps} the loss is {descent.end} at {_point(last.updated)}"
    else:
        yield _fall(descent, steps)


def _fall(descent: Descent, steps: str) -> str:
    """Return how a loss that stays finite changes."""
    losses = [*(step.loss for step in descent.steps), descent.end]
    first, last = losses[0], losses[-1]
    if first != last:
        text = distinct_labels([first, last], 6)
        word = "fell" if last < first else "rose"
        return f"the loss {word} from {text[first]} to {text[last]} in {steps}"
    if len(set(losses)) > 1:
        text = distinct_labels(losses, 6)
        between = f"between {text[min(losses)]} and {text[max(losses)]}"
        return f"the loss is {text[first]} at the start and after {steps}, on the way {between}"
    said = f"the loss stays at {first:.6g} in {steps}"
    points = descent.points
    if all(point == points[0] for point in points):
        return f"{said}: no step moves a weight"
    if len(points) > 2 and all(a == b for a, b in zip(points, points[2:], strict=False)):
        return f"{said}, to and fro between {_point(points[0])} and {_point(points[1])}"
    return said


def _point(weights: Mapping[str, float]) -> str:
    return ", ".join(f"{name} = {value:.6g}" for name, value in weights.items())


def print_chain(links: Sequence[Link], form: str, console: Console) -> None:
    """Print the graph of backpropagation at one point, a row for each node."""
    print_rows(chain_rows(links), form, console, list(checked(links)) if form == "table" else ())


def chain_rows(links: Sequence[Link]) -> list[dict[str, Value]]:
    """Return a row for each node of the graph."""
    return [
        {
            "node": link.name,
            "is": link.formula,
            "value": link.value,
            "gradient": link.gradient,
            "chain rule": link.chain,
            "by differences": link.difference,
        }
        for link in links
    ]


def checked(links: Sequence[Link]) -> Iterator[str]:
    """Yield how to read the rows, and whether differences agree."""
    gap = disagreement(links)
    yield "read the values down and the gradients up: gradient is d loss / d node"
    if gap <= SOUND:
        yield f"checked: central differences agree to {gap:.1g}"
    else:
        yield f"central differences disagree by {gap:.1g}: the loss has a kink or a jump near here"
