"""A chart as a matplotlib figure: a median line with its quartiles for each setting."""

from __future__ import annotations

from math import ceil, isfinite, nan
from typing import TYPE_CHECKING, Any

from gdcli.report.figures.axis import MetricAxis, axis_of
from gdcli.report.figures.style import look, plain
from gdcli.report.pictures.picture import Chart, Line, Panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CARETDOWNBASE = 11  # a triangle that stands on its tip: matplotlib knows it by number
ACROSS = 3  # panels side by side
ONE, MANY = (7.2, 4.6), (3.4, 3.0)  # inches: of a panel alone, of one among others


def draw_chart(chart: Chart, figure: Figure) -> list[str]:
    """Draw the panels with shared axes; return what has to be said of bands and marks."""
    across = min(ACROSS, len(chart.panels)) or 1
    down = ceil(len(chart.panels) / across) or 1
    width, height = ONE if across == down == 1 else MANY
    figure.set_size_inches(width * across, height * down)
    grid = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False)
    axis = axis_of(chart)
    for axes, panel in zip(grid.flat, chart.panels, strict=False):
        _draw_panel(axes, panel, axis, every=chart.log_x)
    for axes in grid.flat[len(chart.panels) :]:
        axes.set_axis_off()
    axis.set(grid[0, 0])
    if chart.log_x:
        grid[0, 0].set_xscale("log")
    # The lowest panel of each column says what x is: the last row may have fewer.
    for axes in grid.flat[max(0, len(chart.panels) - across) : len(chart.panels)]:
        axes.set_xlabel(plain(chart.x))
        axes.tick_params(labelbottom=True)
    figure.supylabel(plain(chart.y), fontsize="medium")
    return _explained(chart, axis)


def _draw_panel(axes: Axes, panel: Panel, axis: MetricAxis, *, every: bool) -> None:
    for order, line in enumerate(panel.lines):
        _draw_line(axes, line, look(line, order), axis)
        _mark(axes, line, look(line, order)["color"], axis, every=every)
    if panel.title:
        axes.set_title(plain(panel.title), fontsize="medium")
    if panel.lines:
        axes.legend(loc="best", framealpha=0.7)


def _draw_line(axes: Axes, line: Line, marks: dict[str, Any], axis: MetricAxis) -> None:
    """Draw the medians and the quartiles; a line breaks where it leaves the axis."""
    xs = [x for x, _ in line.points]
    medians = [values.median for _, values in line.points]
    inside = [nan if axis.beyond(median) else axis.within(median) for median in medians]
    axes.plot(xs, inside, label=plain(line.label), zorder=3, **marks)
    lows = [axis.within(values.low) for _, values in line.points]
    highs = [axis.within(values.high) for _, values in line.points]
    if lows != highs:
        where = [isfinite(value) for value in inside]
        axes.fill_between(xs, lows, highs, where=where, color=marks["color"], alpha=0.2, lw=0)


def _mark(axes: Axes, line: Line, color: Any, axis: MetricAxis, *, every: bool) -> None:
    """Mark points beyond the ends of the axis: every one at the top, or where the line leaves."""
    beyond = [axis.beyond(values.median) for _, values in line.points]
    high = [
        x
        for (x, _), out, before in zip(line.points, beyond, [False, *beyond], strict=False)
        if out and (every or not before)
    ]
    low = [x for x, values in line.points if values.median < axis.scale.low]
    style = {"color": color, "linestyle": "", "zorder": 4}
    axes.plot(high, [axis.scale.high] * len(high), marker="X", markersize=7, **style)
    axes.plot(low, [axis.scale.low] * len(low), marker=CARETDOWNBASE, markersize=5, **style)


def _explained(chart: Chart, axis: MetricAxis) -> list[str]:
    """Return the key of bands and marks, for those that there are."""
    points = [p for panel in chart.panels for line in panel.lines for p in line.points]
    low = sum(values.median < axis.scale.low for _, values in points)
    notes = ["bands: quartiles over seeds"] if any(v.count > 1 for _, v in points) else []
    if any(axis.beyond(values.median) for _, values in points):
        notes.append("X: diverged, or above the axis")
    if low:
        notes.append(f"{low} below {axis.scale.low:.2g}, at the bottom")
    return notes
