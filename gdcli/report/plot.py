"""Curves in the terminal: the one place that knows the plotting library, plotille."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from math import inf, isfinite
from typing import NamedTuple

from plotille import Canvas
from rich.text import Text

from gdcli.report.frame import DOTS, HEIGHT, Cell, Frame
from gdcli.report.pictures.picture import MOST_LINES
from gdcli.report.scale import Scale, scale_of

# Okabe and Ito's palette, which colour-blind readers tell apart, without its black and yellow,
# which dark and light terminals hide. The letters tell the curves apart where there is no colour.
COLORS = ("#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#0072B2")
LETTERS = "abcdef"
LETTER_APART = 24  # columns between two letters of a curve
DIVERGED = "x"
BLANK = "\u2800"  # braille without a dot; each dot adds a bit of its own


class PlotCurve(NamedTuple):
    """A curve of (x, y) points, the smallest x first; y may be inf or NaN."""

    label: str
    points: Sequence[tuple[float, float]]
    diverged: bool = False  # it may leave the picture: the others alone set its scale


def plot(
    curves: Sequence[PlotCurve], width: int, x_label: str, scale: Scale | None = None
) -> list[Text]:
    """Return the lines of a plot of at most MOST_LINES curves, with their legend below it.

    The y axis is `scale`'s; else logarithmic, or symmetric where a loss is negative. A curve ends
    with an x where it is not finite any more, rises above the picture, or has diverged.
    """
    losses = _finite(curve for curve in curves if not curve.diverged) or _finite(curves)
    if not losses:
        return [Text("no curve has a finite loss to draw")]
    scale = scale or scale_of(losses)
    ends = [x for curve in curves for x, _ in curve.points]
    frame = Frame(scale, min(ends), max(ends), width, x_label)
    cells: list[list[Cell]] = [[(" ", "")] * frame.columns for _ in range(HEIGHT)]
    for order, curve in enumerate(curves):
        if curve.points:
            _lay_over(cells, _drawn(curve, order, frame), COLORS[order])
    cut = [_visible(curve, frame)[1] for curve in curves]
    lines = [*frame.lines(cells), *map(_legend, range(len(curves)), curves, cut)]
    if min(_finite(curves)) < scale.low:
        lines.append(Text(f"   losses below {scale.low:.2g} are drawn at the bottom"))
    return lines


def _finite(curves: Iterable[PlotCurve]) -> list[float]:
    return [y for curve in curves for _, y in curve.points if isfinite(y)]


def _drawn(curve: PlotCurve, order: int, frame: Frame) -> list[str]:
    """Return the rows of a curve alone, as braille with its letter here and there."""
    width, height = (size * dots for size, dots in zip((frame.columns, HEIGHT), DOTS, strict=True))
    canvas = Canvas(frame.columns, HEIGHT, 0, 0, width, height)
    dots, cut = _visible(curve, frame)
    # Each once: of 100,000 points most fall on a line that is drawn already.
    for start, end in dict.fromkeys(pairwise([dots[0], *dots])):
        canvas.line(*start, *end)
    for x, y in _spots(dots, order):
        canvas.text(x, y, LETTERS[order])
    if cut or curve.diverged:
        canvas.text(*dots[-1], DIVERGED)
    rows: list[str] = canvas.plot("\n").split("\n")
    return rows


def _spots(dots: Sequence[tuple[int, int]], order: int) -> list[tuple[int, int]]:
    """Return where a curve's letter goes: elsewhere than the other curves' where it can be."""
    spots: list[tuple[int, int]] = []
    upcoming = DOTS[0] * (2 + order * LETTER_APART // MOST_LINES)
    for x, y in dots:
        if x >= upcoming:
            spots.append((x, y))
            upcoming = x + DOTS[0] * LETTER_APART
    return spots or [dots[0]]


def _visible(curve: PlotCurve, frame: Frame) -> tuple[list[tuple[int, int]], bool]:
    """Return the dots of a curve up to where it leaves the picture, and whether it does."""
    dots: list[tuple[int, int]] = []
    for x, y in curve.points:
        if not -inf < y <= frame.scale.high:
            return [*dots, frame.dot(x, frame.scale.high)], True
        dots.append(frame.dot(x, y))
    return dots, False


def _lay_over(cells: list[list[Cell]], rows: Sequence[str], color: str) -> None:
    """Add a curve's rows to what is drawn: dots join dots, letters hide them and stay."""
    for line, row in zip(cells, rows, strict=True):
        for column, char in enumerate(row):
            below = line[column][0]
            if char == BLANK or (below.isascii() and below != " "):
                continue
            both = not char.isascii() and below != " "
            line[column] = (chr(ord(char) | ord(below)) if both else char, color)


def _legend(order: int, curve: PlotCurve, cut: bool) -> Text:  # noqa: FBT001 -- mapped over
    left = f", not finite or above the picture ({DIVERGED})" if cut else ""
    ending = f", diverged ({DIVERGED})" if curve.diverged else left
    return Text.assemble((f" {LETTERS[order]} ", COLORS[order]), f"{curve.label}{ending}")
