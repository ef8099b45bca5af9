"""Curves in the terminal: the one place that knows the plotting library, plotille."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, pairwise
from math import inf, isfinite, log10
from typing import NamedTuple, TypeAlias

from plotille import Canvas
from rich.text import Text

from gdcli.report.axis import Axis, axis_for
from gdcli.report.frame import DOTS, HEIGHT, Cell, Frame, Upright
from gdcli.report.pictures.picture import DIVERGED, MOST_LINES, NOT_FINITE

# Okabe and Ito's palette, which colour-blind readers tell apart, without its black, yellow and
# blue, which dark or light terminals hide. Where there is no colour the letters tell the curves
# apart.
COLORS = ("#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#8080FF")
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
    for own, color in zip(drawn, COLORS, strict=False):
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
        _put(cells, dot, LETTERS[order], COLORS[order])
    last = [own.stretches[-1][-1]] if crossed and own.stretches and not own.lost else []
    for dot in [*own.lost, *last]:
        _put(cells, dot, CROSS, COLORS[order])


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
    letter = f" {LETTERS[order]} ", COLORS[order]
    return Text.assemble(letter, f"{curve.label}{ending}", no_wrap=False)
