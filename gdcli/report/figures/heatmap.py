"""A heat map as a matplotlib figure, with its numbers where they fit."""

from __future__ import annotations

from math import isfinite, nan
from typing import TYPE_CHECKING, Any

from gdcli.report.axis import Axis, axis_for
from gdcli.report.figures.style import plain
from gdcli.report.labels import short
from gdcli.report.pictures.picture import HeatMap

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = "viridis_r"  # its brightness falls evenly: the lowest value is the brightest
LOST = 0.85  # the brightness of what diverged or failed
TICKS = 5  # of the bar that says what the colours mean
MOST_LABELS = 20  # of an axis; where there are more, there is no room for numbers either
ACROSS, DOWN = 0.6, 0.4  # inches of a square
LETTERS = 12  # of a label, an inch
MARKS = {"diverged": "\u00d7", "failed": "!"}


def draw_heatmap(picture: HeatMap, figure: Figure) -> list[str]:
    """Draw the squares; return what has to be said of them."""
    width, height = len(picture.columns), len(picture.rows)
    figure.set_size_inches(
        3.0 + ACROSS * min(width, MOST_LABELS), 1.6 + DOWN * min(height, MOST_LABELS)
    )
    axes = figure.subplots()
    values = [[s.value if s else nan for s in row] for row in picture.squares]
    finite = [value for row in values for value in row if isfinite(value)]
    axis = axis_for(finite, log=picture.log, share=picture.share)
    mesh = axes.imshow(
        [[axis(value) if isfinite(value) else nan for value in row] for row in values],
        cmap=COLORS,
        vmin=0,
        vmax=1,
        aspect="auto",
        interpolation="nearest",
    )
    lost = [[1.0 if s and s.text else nan for s in row] for row in picture.squares]
    axes.imshow(lost, cmap="gray", vmin=0, vmax=1 / LOST, aspect="auto", interpolation="nearest")
    axes.grid(visible=False)
    _label(axes.xaxis, picture.columns, picture.x)
    _label(axes.yaxis, picture.rows, picture.y)
    if finite:
        ticks = axis.labels(TICKS)
        bar = figure.colorbar(mesh, ax=axes)
        bar.set_ticks([place for place, _ in ticks], labels=[label for _, label in ticks])
    return [*_mark(axes, picture, axis), *axis.notes(finite)]


def _label(axis: Any, labels: Any, name: str) -> None:
    """Label the squares of an axis, or where they are many every few of them."""
    every = -(-len(labels) // MOST_LABELS)
    shown = [plain(label) for label in labels[::every]]
    room = LETTERS * ACROSS * min(len(labels), MOST_LABELS)
    crowded = axis.axis_name == "x" and sum(len(label) + 1 for label in shown) > room
    turned = {"rotation": 45, "ha": "right"} if crowded else {}
    axis.set_ticks(range(0, len(labels), every), shown, **turned)
    axis.set_label_text(plain(name))


def _mark(axes: Axes, picture: HeatMap, axis: Axis) -> list[str]:
    """Write into the squares what there is room for; return the key of the marks."""
    if max(len(picture.columns), len(picture.rows)) > MOST_LABELS:
        return ["grey: diverged or failed"] if _texts(picture) else []
    for row, squares in enumerate(picture.squares):
        for column, square in enumerate(squares):
            if square is not None:
                color = "black" if square.text else _contrast(axis(square.value))
                text = MARKS.get(square.text) or short(square.value)
                axes.text(column, row, text, ha="center", va="center", color=color, fontsize=7)
    return [f"{mark} {word}" for word, mark in MARKS.items() if word in _texts(picture)]


def _texts(picture: HeatMap) -> set[str]:
    return {square.text for row in picture.squares for square in row if square} - {""}


def _contrast(place: float) -> str:
    import matplotlib as mpl

    red, green, blue, _ = mpl.colormaps[COLORS](place)
    return "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "white"
