"""A landscape as a picture: filled contours, and every trial's way across them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, Literal, TypeAlias

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import Normal, Stroke

from gdcli.report.figures.style import COLORS
from gdcli.report.height import height_scale, heights
from gdcli.report.labels import short
from gdcli.report.landscape import said
from gdcli.report.trial_labels import trial_labels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from numpy.typing import NDArray

    from gdcli.studies.landscape import Landscape, Way

Style: TypeAlias = Literal["solid", "dashed", "dashdot", "dotted"]
# Light where the loss is low, so that in grey, too, ways and their halos stand out everywhere.
MAP = "bone_r"
LEVELS = np.linspace(0, 1, 25)
STYLES: tuple[Style, ...] = ("solid", "dashed", "dashdot", "dotted")
FINE = 151  # points of a side from which contours are drawn: fewer would draw minima between them
MOST_NAMED = 12  # so many pairs of a colour and a style differ
LETTERS = 90  # of a line of the title
FAR = 20.0  # sizes of the picture; beyond it a way is cut: no renderer draws a line to 1e300
# Without dates, and below without random names: the same landscape is the same file.
DATELESS: dict[str, dict[str, None]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}


def drawn(scene: Landscape, form: str) -> bytes:
    """Return the picture as a file of the `form` png, svg or pdf."""
    figure = figure_of(scene)
    file = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "gdcli", "svg.fonttype": "none"}):
        figure.savefig(file, format=form, dpi=150, metadata=DATELESS.get(form))
    return file.getvalue()


def figure_of(scene: Landscape) -> Figure:
    """Return the picture."""
    figure = Figure(figsize=(8, 6), layout="constrained")
    axes = figure.add_subplot()
    axes.set_facecolor("0.5")  # where there is no finite loss
    _ground(scene, figure, axes)
    _walk(scene, axes)
    axes.set_xlim(scene.xs[0], scene.xs[-1])
    axes.set_ylim(scene.ys[0], scene.ys[-1])
    axes.set_xlabel(scene.plane.names[0])
    axes.set_ylabel(scene.plane.names[1])
    title, points, *notes = said(scene)
    points = points.rpartition("; ")[2]
    title = "\n".join(wrap(f"{title}, {points}", LETTERS))
    axes.set_title("\n".join([title, *notes]), fontsize="small")
    return figure


def _ground(scene: Landscape, figure: Figure, axes: Axes) -> None:
    scale = height_scale(scene.losses)
    if scale is None:
        return
    places = np.ma.masked_invalid(heights(scene.losses, scale))
    shown: ScalarMappable
    if min(places.shape) >= FINE:
        shown = axes.contourf(scene.xs, scene.ys, places, LEVELS, cmap=MAP)
        axes.contour(scene.xs, scene.ys, places, LEVELS[::2], colors="0.3", linewidths=0.3)
    else:
        shown = axes.imshow(
            places, MAP, vmin=0, vmax=1, extent=_cells(scene), origin="lower", aspect="auto"
        )
    ticks = scale.ticks(6)
    bar = figure.colorbar(shown, ax=axes, label="training loss")
    bar.set_ticks([scale(tick) for tick in ticks], labels=[short(float(t)) for t in ticks])


def _cells(scene: Landscape) -> tuple[float, float, float, float]:
    """Return the ends of a picture that has a cell around each point."""
    half = [0.5 * (axis[-1] - axis[0]) / (len(axis) - 1) for axis in (scene.xs, scene.ys)]
    (left, right), (low, high) = (
        (float(axis[0] - by), float(axis[-1] + by))
        for axis, by in zip((scene.xs, scene.ys), half, strict=True)
    )
    return left, right, low, high


def _walk(scene: Landscape, axes: Axes) -> None:
    """Draw the ways, with a dot where they start and a star, or a cross, where they end."""
    ways = scene.ranked
    labels = trial_labels([way.trial for way in ways])
    size = np.array([scene.xs[-1] - scene.xs[0], scene.ys[-1] - scene.ys[0]])
    halo = [Stroke(linewidth=3.5, foreground="white"), Normal()]
    for order in reversed(range(len(ways))):  # the best on top
        color, style = _look(order)
        x, y = _cut(ways[order], size).T
        if ways[order].diverged:  # from side to side: it would cover the others and the ground
            axes.plot(x, y, color=color, linestyle=style, linewidth=0.8, alpha=0.8)
        else:
            axes.plot(x, y, color=color, linestyle=style, linewidth=1.8, path_effects=halo)
        axes.plot(x[:1], y[:1], "o", color=color, markeredgecolor="white", markersize=6, zorder=4)
        end = "X" if ways[order].diverged else "*"
        axes.plot(
            x[-1:], y[-1:], end, color=color, markeredgecolor="white", markersize=11, zorder=4
        )
    _legend(axes, labels)


def _look(order: int) -> tuple[str, Style]:
    """Return a way's colour and style; those without a name are grey."""
    if order >= MOST_NAMED:
        return "0.4", "solid"
    return COLORS[order % len(COLORS)], STYLES[order % len(STYLES)]


def _legend(axes: Axes, labels: Sequence[str]) -> None:
    """Name the ways that end lowest; a dollar is a dollar, and begins no formula."""
    lines = []
    for order, label in enumerate(labels[:MOST_NAMED]):
        color, style = _look(order)
        name = label.replace("$", r"\$")
        lines.append(Line2D([], [], color=color, linestyle=style, linewidth=1.8, label=name))
    rest = len(labels) - len(lines)
    title = f"grey: {rest} that end higher" if rest else None
    below = axes.legend(
        handles=lines,
        loc="upper center",
        bbox_to_anchor=(0.5, -0.12),
        ncols=2,
        frameon=False,
        fontsize="small",
    )
    below.set_title(title or "")


def _cut(way: Way, size: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the points up to the first that is far off, which is brought nearer."""
    points = way.coordinates
    steps = np.diff(points, axis=0) / size
    off = np.flatnonzero(~(abs(steps).max(1, initial=0.0) <= FAR))
    if not off.size:
        return points
    last = int(off[0])
    step = steps[last]
    longest = abs(step).max()
    if not np.isfinite(longest):
        return points[: last + 1]
    nearer = points[last] + step / longest * FAR * size
    return np.vstack([points[: last + 1], nearer])
