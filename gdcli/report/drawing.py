"""A picture in the terminal."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

from rich.text import Text

from gdcli.report.axis import axis_of
from gdcli.report.console import has_colors, print_lines
from gdcli.report.heatmap import heatmap_lines
from gdcli.report.labels import apart
from gdcli.report.pictures.picture import Chart, HeatMap, Line, Panel
from gdcli.report.plot import CROSS, PlotCurve, plot

if TYPE_CHECKING:
    from rich.console import Console

OFF_TERMINAL = 80  # columns of a plot in a file or a pipe


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
    width = console.width if console.is_terminal else OFF_TERMINAL
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
    rates = apart(x for x, _ in points)
    lost = [rates[x] for x, y in points if not isfinite(y)]
    where = f", {picture.lost} at {', '.join(lost)} ({CROSS})" if lost else ""
    return PlotCurve(line.label + where, points)
