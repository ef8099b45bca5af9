"""Pictures in the terminal: curves, heat maps and scattered points as text.

This is the one place that knows the plotting library, plotille.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, groupby, pairwise
from math import inf, isfinite, log10
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

from plotille import Canvas
from rich.cells import cell_len
from rich.text import Text

from gdcli.numbers import distinct_labels, rounded
from gdcli.report.charts.chart import (
    DIVERGED,
    MOST_LINES,
    NOT_FINITE,
    Axis,
    Chart,
    HeatMap,
    Line,
    Panel,
    axis_for,
    axis_of,
    rate_ticks,
    steps,
    tick_labels,
)
from gdcli.report.console import has_colors, picture_width, print_lines
from gdcli.report.text_tables import TextColumn, blocks

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rich.console import Console

    from gdcli.report.charts.chart import Square

HEIGHT = 16  # rows
DOTS = (2, 4)  # of a character of braille: across, down
WHOLE = {"epoch", "epochs", "step"}  # x axes with whole numbers as ticks
APART = 10  # columns between two ticks of the x axis, at least

Cell: TypeAlias = tuple[str, str]  # a character and its colour


class Upright(Protocol):
    """An upright axis: a `Scale`, or an `Axis` with places for what no scale has room for."""

    def __call__(self, value: float, /) -> float:
        """Return where a value lies, from 0 to 1."""

    def labels(self, most: int, /) -> list[tuple[float, str]]:
        """Return ticks: where they lie, and what they say."""

    def beyond(self, value: float, /) -> bool:
        """Return whether a value has no place of its own."""


@dataclass(frozen=True)
class Frame:
    """A plot of `width` columns with its axes, x from `left` to `right`, y as `scale` says."""

    scale: Upright
    left: float
    right: float
    width: int
    x_label: str
    rates: Sequence[float] = ()  # if any, every x is the logarithm to the base 10 of one of them

    def dot(self, x: float, y: float) -> tuple[int, int]:
        """Return the dot of a point, counted from the lower left corner."""
        return self._across(x), round(self.scale(y) * (DOTS[1] * HEIGHT - 1))

    def _across(self, x: float) -> int:
        span = self.right - self.left
        share = (x - self.left) / span if span else 0.5
        return round(share * (DOTS[0] * self.columns - 1))

    @cached_property
    def columns(self) -> int:
        """The columns between the axis and the right end."""
        return max(APART, self.width - self._gutter - 2)

    @cached_property
    def _gutter(self) -> int:
        return max(len(label) for label in [self.x_label, *self._labels.values()])

    @cached_property
    def _labels(self) -> dict[int, str]:
        """The labels of the y axis, by row from the top."""
        last = DOTS[1] * HEIGHT - 1
        return {
            HEIGHT - 1 - round(place * last) // DOTS[1]: label
            for place, label in self.scale.labels(HEIGHT // 3)
        }

    def lines(self, cells: Sequence[Sequence[Cell]]) -> list[Text]:
        """Return the lines of the plot: rows of cells from the top, framed by the axes."""
        return [*(self._row(row, line) for row, line in enumerate(cells)), *self._foot()]

    def _row(self, row: int, cells: Sequence[Cell]) -> Text:
        label = self._labels.get(row, "")
        line = Text(f"{label:>{self._gutter}} {'┤' if label else '│'}")
        for color, run in groupby(cells, key=lambda cell: cell[1]):
            line.append("".join(char for char, _ in run), color)
        line.rstrip()
        return line

    def _foot(self) -> list[Text]:
        axis, labels = ["─"] * self.columns, ""
        for x, label in self._ticks():
            column = self._across(x) // DOTS[0]
            start = max(0, min(column, self.columns - len(label)))
            if labels and start <= len(labels):
                continue  # it would run into the last one
            axis[column] = "┬"
            labels = f"{labels:<{start}}{label}"
        foot = f"{'':>{self._gutter}} └{''.join(axis)}", f"{self.x_label:>{self._gutter}}  {labels}"
        return [Text(line) for line in foot]

    def _ticks(self) -> list[tuple[float, str]]:
        """Return the ticks of the x axis, where there is room for them."""
        most = max(1, self.columns // APART)
        if self.rates:
            ticks = rate_ticks(self.rates, most)
            labels = distinct_labels([*self.rates, *ticks])
            return [(log10(tick), labels[tick]) for tick in ticks]
        span = self.right - self.left
        if self.x_label in WHOLE and span >= 1:
            most = min(most, int(span))
        found = steps(self.left, self.right, most) or [self.left]
        return list(zip(found, tick_labels(found), strict=True))


# Okabe and Ito's palette, which colour-blind readers tell apart, without its black, yellow and
# blue, which dark or light terminals hide. Where there is no colour the letters tell the curves
# apart.
TERMINAL_COLORS = ("#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#8080FF")
LETTERS = "abcdef"
LETTER_APART = 24  # columns between two letters of a curve
CROSS = "x"
BLANK = "\u2800"  # braille without a dot; each dot adds a bit of its own


class PlotCurve(NamedTuple):
    """A curve of (x, y) points, the smallest x first; y may be inf or NaN."""

    label: str
    points: Sequence[tuple[float, float]]
    diverged: bool = False  # it may leave the picture: the others alone set its scale


Dot: TypeAlias = tuple[int, int]


class _Drawn(NamedTuple):
    """The dots of a curve: stretches without a gap, and where it has no finite value."""

    stretches: Sequence[Sequence[Dot]]
    lost: Sequence[Dot]


def plot(
    curves: Sequence[PlotCurve],
    width: int,
    x_label: str,
    scale: Upright | None = None,
    *,
    log_x: bool = False,
) -> list[Text]:
    """Return the lines of a plot of at most MOST_LINES curves, with their legend below it.

    The y axis is `scale`; else it is logarithmic, or symmetric where a loss is negative. A curve
    that diverged, or is not finite any more, ends with an x. Over learning rates, `log_x`, every
    value that is not finite has an x, which need not be the curve's end: its label says so.
    """
    if not any(isfinite(y) for curve in curves for _, y in curve.points):
        return [Text("no curve has a finite loss to draw")]
    scale = scale or _axis(curves)
    rates = {x for curve in curves for x, _ in curve.points} if log_x else ()
    if log_x:
        curves = [c._replace(points=[(log10(x), y) for x, y in c.points]) for c in curves]
    ends = [x for curve in curves for x, _ in curve.points]
    frame = Frame(scale, min(ends), max(ends), width, x_label, sorted(rates))
    drawn = [_dots(curve, frame, every=log_x) for curve in curves]
    cells: list[list[Cell]] = [[(" ", "")] * frame.columns for _ in range(HEIGHT)]
    for own, color in zip(drawn, TERMINAL_COLORS, strict=False):
        _lay_over(cells, _braille(own, frame), color)
    for order, (own, curve) in enumerate(zip(drawn, curves, strict=True)):
        _mark(cells, own, order, crossed=curve.diverged and not log_x)
    lost = [bool(own.lost) and not log_x for own in drawn]
    lines = [*frame.lines(cells), *map(_legend, range(len(curves)), curves, lost)]
    if isinstance(scale, Axis):
        values = [y for curve in curves for _, y in curve.points]
        lines += [Text(f"   {note}", no_wrap=False) for note in scale.notes(values)]
    return lines


def _axis(curves: Sequence[PlotCurve]) -> Axis:
    """Return the axis of the curves that did not diverge, with room for those that did."""
    held = [y for curve in curves if not curve.diverged for _, y in curve.points]
    leaving = [y for curve in curves if curve.diverged for _, y in curve.points]
    return axis_for(held, leaving, lost=DIVERGED if all(map(isfinite, held)) else NOT_FINITE)


def _dots(curve: PlotCurve, frame: Frame, *, every: bool) -> _Drawn:
    """Return the dots of a curve up to its first lost value, or around `every` one of them."""
    stretches: list[list[Dot]] = [[]]
    lost: list[Dot] = []
    for x, y in curve.points:
        if not frame.scale.beyond(y):
            stretches[-1].append(frame.dot(x, y))
            continue
        lost.append(frame.dot(x, inf))
        if not every:
            stretches[-1].append(lost[-1])
            break
        stretches.append([])
    return _Drawn([stretch for stretch in stretches if stretch], lost)


def _braille(own: _Drawn, frame: Frame) -> list[str]:
    """Return the rows of a curve's lines alone."""
    width, height = (size * dots for size, dots in zip((frame.columns, HEIGHT), DOTS, strict=True))
    canvas = Canvas(frame.columns, HEIGHT, 0, 0, width, height)
    for dots in own.stretches:
        # Each once: of 100,000 points most fall on a line that is drawn already.
        for start, end in dict.fromkeys(pairwise([dots[0], *dots])):
            canvas.line(*start, *end)
    rows: list[str] = canvas.plot("\n").split("\n")
    return rows


def _lay_over(cells: list[list[Cell]], rows: Sequence[str], color: str) -> None:
    """Add a curve's dots to those that are drawn."""
    for line, row in zip(cells, rows, strict=True):
        for column, char in enumerate(row):
            if char != BLANK:
                below = line[column][0]
                both = char if below == " " else chr(ord(char) | ord(below))
                line[column] = (both, color)


def _mark(cells: list[list[Cell]], own: _Drawn, order: int, *, crossed: bool) -> None:
    """Put a curve's letter here and there, and a cross where it is lost or, `crossed`, ends."""
    for dot in _spots(list(chain.from_iterable(own.stretches)), order):
        _put(cells, dot, LETTERS[order], TERMINAL_COLORS[order])
    last = [own.stretches[-1][-1]] if crossed and own.stretches and not own.lost else []
    for dot in [*own.lost, *last]:
        _put(cells, dot, CROSS, TERMINAL_COLORS[order])


def _put(cells: list[list[Cell]], dot: Dot, mark: str, color: str) -> None:
    """Put a mark where a dot is, or beside it: no mark hides another one."""
    column, row = dot[0] // DOTS[0], HEIGHT - 1 - dot[1] // DOTS[1]
    near = chain.from_iterable((column + shift, column - shift) for shift in range(MOST_LINES))
    free = (c for c in near if 0 <= c < len(cells[row]) and not _is_mark(cells[row][c][0]))
    cells[row][next(free, column)] = (mark, color)


def _is_mark(char: str) -> bool:
    return char.isascii() and char != " "


def _spots(dots: Sequence[Dot], order: int) -> Iterator[Dot]:
    """Yield where a curve's letter goes: elsewhere than the other curves' where it can be."""
    upcoming = DOTS[0] * (2 + order * LETTER_APART // MOST_LINES)
    found = False
    for x, y in dots:
        if x >= upcoming:
            yield x, y
            found, upcoming = True, x + DOTS[0] * LETTER_APART
    if dots and not found:
        yield dots[0]


def _legend(order: int, curve: PlotCurve, lost: bool) -> Text:  # noqa: FBT001 -- mapped over
    left = f", {NOT_FINITE} ({CROSS})" if lost else ""
    ending = f", {DIVERGED} ({CROSS})" if curve.diverged else left
    letter = f" {LETTERS[order]} ", TERMINAL_COLORS[order]
    return Text.assemble(letter, f"{curve.label}{ending}", no_wrap=False)


# Viridis from the lowest loss to the highest: the colour-blind, and prints in grey, tell its
# colours apart by their brightness.
SHADES = (
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
    lines = blocks(TextColumn(picture.x, picture.rows), columns, width)
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
) -> TextColumn:
    squares = [row[place] for row in picture.squares]
    marks = [BEST if s and s is lowest else " " for s, lowest in zip(squares, best, strict=True)]
    texts = [_text(square) + mark for square, mark in zip(squares, marks, strict=True)]
    colors = [styles.get(square.value, "") if square else "" for square in squares]
    width = max(map(cell_len, [picture.columns[place], *texts]))
    # A square is coloured to its edges, so that those of a column are of one width.
    padded = [f"{text:>{width + len(text) - cell_len(text)}}" for text in texts]
    return TextColumn(f"{picture.columns[place]} ".rjust(width), padded, colors)


def _text(square: Square | None) -> str:
    if square is None:
        return ""
    lost = f" {square.cell.diverged}/{len(square.cell.ran)}x" if square.cell.diverged else ""
    return square.text or rounded(square.value) + lost


def _styles(picture: HeatMap) -> dict[float, str]:
    """Return the colour of each finite value, by its rank among all."""
    values = {square.value for row in picture.squares for square in row if square}
    ranked = sorted(filter(isfinite, values))
    last = max(1, len(ranked) - 1)
    return {value: SHADES[rank * (len(SHADES) - 1) // last] for rank, value in enumerate(ranked)}


def _key(picture: HeatMap, best: Sequence[Square | None]) -> list[Text]:
    """Return a line that explains the marks, where there are some."""
    squares = [square for row in picture.squares for square in row if square]
    marks = [f"{BEST} {picture.best_is}"] if any(best) else []
    if any(square.cell.diverged and not square.text for square in squares):
        marks.append("1/3x: 1 of 3 seeds diverged")
    return [Text("; ".join(marks))] if marks else []


def print_picture(picture: Chart | HeatMap, console: Console) -> None:
    """Print a picture with its title."""
    lines = picture_lines(picture, console) or [Text("nothing to draw: no trial has a result")]
    print_lines([picture.title, *lines], console)


def picture_lines(picture: Chart | HeatMap, console: Console) -> list[Text]:
    """Return the lines of a picture below its title; none where there is nothing to draw."""
    if isinstance(picture, HeatMap):
        return heatmap_lines(picture, console.width, colored=has_colors(console))
    if not any(panel.lines for panel in picture.panels):
        return []
    if console.options.ascii_only:
        return [Text(f"The plot needs UTF-8, and the output is {console.encoding}")]
    width = picture_width(console)
    lines: list[Text] = []
    for panel in picture.panels:
        lines += [Text(panel.title)] if panel.title else []
        lines += _panel_lines(picture, panel, width)
    return [*lines, *(Text(f"   {note}", no_wrap=False) for note in picture.notes)]


def _panel_lines(picture: Chart, panel: Panel, width: int) -> list[Text]:
    if not panel.lines:
        return []
    axis = axis_of(picture._replace(panels=[panel]))
    curves = [_curve(line, picture) for line in panel.lines]
    x = {"learning rate": "lr"}.get(picture.x, picture.x)
    return plot(curves, width, x, axis, log_x=picture.log_x)


def _curve(line: Line, picture: Chart) -> PlotCurve:
    """Return a line to plot; over learning rates its name says at which of them it is lost."""
    points = [(x, values.median) for x, values in line.points]
    if not picture.log_x:
        return PlotCurve(line.label, points, line.diverged)
    rates = distinct_labels(x for x, _ in points)
    lost = [rates[x] for x, y in points if not isfinite(y)]
    where = f", {picture.lost} at {', '.join(lost)} ({CROSS})" if lost else ""
    return PlotCurve(line.label + where, points)


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
