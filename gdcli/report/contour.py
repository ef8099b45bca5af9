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
NOTHING = "?"  # no finite loss
LINEAR = 1e4  # a symmetric scale is as good as linear up to so many times its range


def contour(scene: Landscape, labels: Sequence[str], width: int) -> list[Text]:
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
    cells = ground(scene.losses, scale, frame)
    chosen = scene.ranked[: len(LETTERS)]
    spots = [_spots(way, frame, ends) for way in chosen]
    best_on_top = list(reversed(range(len(chosen))))
    for order in best_on_top:
        for row, column in _walked(spots[order]):
            cells[row][column] = (LETTERS[order], COLORS[order])
    for order in best_on_top:
        for row, column in [spot for spot in spots[order] if spot][-1:]:
            cells[row][column] = (LETTERS[order].upper(), COLORS[order])
    legend = [_legend(order, labels[order], way) for order, way in enumerate(chosen)]
    return [*frame.lines(cells), *key(scale), *legend]


def ground(losses: NDArray[np.float64], scale: Scale, frame: Frame) -> list[list[Cell]]:
    """Return the shades: of the nearest of the losses, (ys, xs), in every cell, from the top."""
    rows = np.linspace(losses.shape[0] - 1, 0, HEIGHT).round().astype(int)
    columns = np.linspace(0, losses.shape[1] - 1, frame.columns).round().astype(int)
    places = heights(losses[np.ix_(rows, columns)], scale)
    return [[(_shade(place), "dim") for place in row] for row in places.tolist()]


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


def key(scale: Scale) -> Iterator[Text]:
    """Yield what the shades mean."""
    ticks = [f"{short(tick)} '{_shade(scale(tick))}'" for tick in scale.ticks(4)]
    yield Text(f"training loss: {', '.join(ticks)}")


def _legend(order: int, label: str, way: Way) -> Text:
    end = "diverged" if way.diverged else f"loss {short(way.losses[-1])}"
    letter = f" {LETTERS[order]} "
    return Text.assemble((letter, COLORS[order]), f"{label}, to {LETTERS[order].upper()}: {end}")
