"""A picture in the terminal."""

from __future__ import annotations

from math import isfinite, log10
from typing import TYPE_CHECKING

from rich.text import Text

from gdcli.report.figures.axis import axis_of
from gdcli.report.heatmap import heatmap_lines
from gdcli.report.labels import apart
from gdcli.report.pictures.picture import Chart, HeatMap, Line, Panel
from gdcli.report.plot import PlotCurve, plot

if TYPE_CHECKING:
    from rich.console import Console

OFF_TERMINAL = 80  # columns of a plot in a file or a pipe


def print_picture(picture: Chart | HeatMap, console: Console) -> None:
    """Print a picture with its title."""
    lines = picture_lines(picture, console) or [Text("nothing to draw: no trial has a result")]
    for line in [Text(picture.title), *lines]:
        console.print(line, soft_wrap=True)


def picture_lines(picture: Chart | HeatMap, console: Console) -> list[Text]:
    """Return the lines of a picture below its title; none where there is nothing to draw."""
    if isinstance(picture, HeatMap):
        colored = console.color_system in ("256", "truecolor")
        return heatmap_lines(picture, console.width, colored=colored)
    if not any(panel.lines for panel in picture.panels):
        return []
    if console.options.ascii_only:
        return [Text(f"The plot needs UTF-8, and the output is {console.encoding}")]
    width = console.width if console.is_terminal else OFF_TERMINAL
    lines: list[Text] = []
    for panel in picture.panels:
        lines += [Text(panel.title)] if panel.title else []
        lines += _panel_lines(picture, panel, width)
    return [*lines, *(Text(f"   {note}") for note in picture.notes)]


def _panel_lines(picture: Chart, panel: Panel, width: int) -> list[Text]:
    if not panel.lines:
        return []
    # An accuracy of 0.90 and one of 0.95 lie close together on a logarithmic axis.
    axis = axis_of(picture._replace(panels=[panel]))
    scale = axis.scale if axis.straight else None
    if not picture.log_x:
        medians = [[(x, values.median) for x, values in line.points] for line in panel.lines]
        curves = [
            PlotCurve(line.label, points, line.diverged)
            for line, points in zip(panel.lines, medians, strict=True)
        ]
        return plot(curves, width, picture.x, scale)
    return plot([_on_log_x(line) for line in panel.lines], width, "log10 lr", scale)


def _on_log_x(line: Line) -> PlotCurve:
    """Return a line over log10 x; what is not finite is said, for it need not be its end."""
    finite = [(log10(x), v.median) for x, v in line.points if isfinite(v.median)]
    rates = apart(x for x, _ in line.points)
    lost = [rates[x] for x, values in line.points if not isfinite(values.median)]
    label = f"{line.label}, diverged at {', '.join(lost)}" if lost else line.label
    return PlotCurve(label, finite)
