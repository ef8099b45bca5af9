"""The work of `gdcli plot`, imported when its options are right: a picture of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gdcli.report.charts.chart import print_points
from gdcli.report.charts.charts import curves, heatmap, multiples, read_source, sensitivity
from gdcli.report.charts.figure_files import figure_bytes
from gdcli.report.charts.terminal import print_picture
from gdcli.runs import atomic

if TYPE_CHECKING:
    from pathlib import Path

    from gdcli.cli.look import Picture
    from gdcli.cli.options import Screen
    from gdcli.report.charts.chart import Chart, HeatMap

__all__ = ["draw_on", "picture_of", "print_points"]


def picture_of(folder: Path, options: Picture) -> Chart | HeatMap:
    """Return the picture of a run that the options ask for."""
    source = read_source(folder, options.metric)
    if options.kind == "heatmap":
        return heatmap(source, options.x or "lr", options.y or "setting")
    draw = {"curves": curves, "multiples": multiples, "sensitivity": sensitivity}[options.kind]
    return draw(source)


def draw_on(picture: Chart | HeatMap, file: Path | None, screen: Screen) -> bool:
    """Write a picture to a file, or print it where there is none; return whether it is written."""
    if file is None:
        print_picture(picture, screen.console())
        return False
    atomic.write(file, [figure_bytes(picture, file.suffix[1:].lower())])
    return True
