"""A landscape in the terminal: shades for the height, letters for the ways across it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isnan
from typing import TYPE_CHECKING

import numpy as np
from rich.text import Text

from gdcli.report.frame import DOTS, HEIGHT, Cell, Frame
from gdcli.report.height import height_scale, heights
from gdcli.report.labels import short
from gdcli.report.plot import COLORS, LETTERS
from gdcli.report.scale import Scale

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gdcli.studies.landscape import Landscape, Way

RAMP = " .:-=+*#%@"  # from the lowest loss to the highest
HALF, BLOCK = "\u2580", "\u2588\u2588"  # the upper half of a cell, two whole ones
LIGHT, DARK = (238, 246, 246), (28, 28, 52)  # of the lowest loss and the highest
NOTHING = "?"  # no finite loss
LINEAR = 1e4  # a symmetric scale is as good as linear up to so many times its range


def contour(
    scene: Landscape, labels: Sequence[str], width: int, *, colored: bool = False
) -> list[Text]:
    """Return the lines of the picture and its legend, for as many ranked ways as there are letters.

    `labels` are those of the ranked ways.
    """
    scale = height_scale(scene.losses)
    if scale is None:
        return [Text("no point of the plane has a finite loss")]
    ends = [(float(axis[0]), float(axis[-1])) for axis in (scene.xs, scene.ys)]
    (left, right), (low, high) = ends
    side = Scale(low, high, LINEAR * max(abs(low), abs(high)))
    frame = Frame(side, left, right, width, "x")
    cells = ground(scene.losses, scale, frame, colored=colored)
    chosen = scene.ranked[: len(LETTERS)]
    spots = [_spots(way, frame, ends) for way in chosen]
    best_on_top = list(reversed(range(len(chosen))))
    for order in best_on_top:
        # A trial that diverges goes from side to side: a line would cover the others.
        between = not chosen[order].diverged
        for row, column in _walked(spots[order]) if between else filter(None, spots[order]):
            cells[row][column] = (LETTERS[order], _on_ground(order, colored=colored))
    for order in best_on_top:
        for row, column in [spot for spot in spots[order] if spot][-1:]:
            mark = LETTERS[order].upper()
            cells[row][column] = (mark, _on_ground(order, colored=colored))
    legend = [_legend(order, labels[order], way) for order, way in enumerate(chosen)]
    return [*frame.lines(cells), *key(scale, colored=colored), *legend]


def _on_ground(order: int, *, colored: bool) -> str:
    """Return the style of a way's letter."""
    return f"bold black on {COLORS[order]}" if colored else COLORS[order]


def ground(
    losses: NDArray[np.float64], scale: Scale, frame: Frame, *, colored: bool = False
) -> list[list[Cell]]:
    """Return the shades: of the nearest of the losses, (ys, xs), in every cell, from the top.

    In colour a cell has two, one above the other.
    """
    each = 2 if colored else 1
    rows = np.linspace(losses.shape[0] - 1, 0, each * HEIGHT).round().astype(int)
    columns = np.linspace(0, losses.shape[1] - 1, frame.columns).round().astype(int)
    places = heights(losses[np.ix_(rows, columns)], scale).tolist()
    if not colored:
        return [[(_shade(place), "dim") for place in row] for row in places]
    pairs = zip(places[::2], places[1::2], strict=True)
    return [[_halves(*both) for both in zip(*pair, strict=True)] for pair in pairs]


def _halves(upper: float, lower: float) -> Cell:
    if isnan(upper) and isnan(lower):
        return NOTHING, "dim"
    # A half without a finite loss is drawn as the other one.
    top, bottom = (
        _color(lower if isnan(upper) else upper),
        _color(upper if isnan(lower) else lower),
    )
    return HALF, f"{top} on {bottom}"


def _color(place: float) -> str:
    """Return a colour: light where the loss is low, as in the picture files."""
    mixed = (round(a + (b - a) * place) for a, b in zip(LIGHT, DARK, strict=True))
    return "#{:02x}{:02x}{:02x}".format(*mixed)


def _shade(place: float) -> str:
    return NOTHING if isnan(place) else RAMP[min(int(place * len(RAMP)), len(RAMP) - 1)]


def _spots(
    way: Way, frame: Frame, ends: Sequence[tuple[float, float]]
) -> list[tuple[int, int] | None]:
    """Return the cell of each of a way's points; None for those outside the picture."""
    return [
        cell_of(frame, *point)
        if all(low <= at <= high for at, (low, high) in zip(point, ends, strict=True))
        else None
        for point in way.coordinates.tolist()
    ]


def _walked(spots: Sequence[tuple[int, int] | None]) -> Iterator[tuple[int, int]]:
    """Yield the cells of a way, and those between them."""
    for here, there in zip(spots, [*spots[1:], None], strict=True):
        if here:
            yield from _line(here, there or here)


def cell_of(frame: Frame, x: float, y: float) -> tuple[int, int]:
    """Return the row, from the top, and the column of a point."""
    across, up = frame.dot(x, y)
    return HEIGHT - 1 - up // DOTS[1], across // DOTS[0]


def _line(here: tuple[int, int], there: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """Yield the cells from one to another, both included."""
    steps = max(abs(b - a) for a, b in zip(here, there, strict=True)) or 1
    for step in range(steps + 1):
        row, column = (round(a + (b - a) * step / steps) for a, b in zip(here, there, strict=True))
        yield row, column


def key(scale: Scale, *, colored: bool = False) -> Iterator[Text]:
    """Yield what the shades mean."""
    if colored:
        line = Text("training loss: ")
        for tick in scale.ticks(4):
            line.append(BLOCK, _color(scale(tick))).append(f" {short(tick)}  ")
        line.rstrip()
        yield line
        return
    ticks = [f"{short(tick)} '{_shade(scale(tick))}'" for tick in scale.ticks(4)]
    yield Text(f"training loss: {', '.join(ticks)}")


def _legend(order: int, label: str, way: Way) -> Text:
    end = "diverged" if way.diverged else f"loss {short(way.losses[-1])}"
    letter = f" {LETTERS[order]} "
    said = f"{label}, to {LETTERS[order].upper()}: {end}"
    return Text.assemble((letter, COLORS[order]), said, no_wrap=False)
