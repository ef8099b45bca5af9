"""`gdcli plot RUN`: a picture of a run, in the terminal or as a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gdcli.cli.completion import runs
from gdcli.cli.mistakes import every
from gdcli.cli.options import RUN, read, takes
from gdcli.cli.screen import Screen
from gdcli.cli.target import checked_target
from gdcli.errors import UserError
from gdcli.runs.run_folder import intact

if TYPE_CHECKING:
    from gdcli.report.charts.chart import Chart, HeatMap

SUFFIXES = (".png", ".svg", ".pdf")


@dataclass(frozen=True)
class Picture:
    """What is drawn, and where."""

    kind: Annotated[
        Literal["curves", "sensitivity", "heatmap", "multiples"],
        "curves at the best learning rates; final values over learning rates, or over two axes; "
        "a panel a setting",
    ] = "curves"
    metric: Annotated[str, "train_loss, test_loss or a metric of the problem"] = "train_loss"
    x: Annotated[str | None, "axis of a heatmap: lr, seed, setting or what the grid varies"] = None
    y: Annotated[str | None, "its other axis"] = None
    output: Annotated[
        Path | None, "file to write, .png, .svg or .pdf; else the picture is printed"
    ] = None


@takes({RUN: (Picture, Screen)}, {"x": "lr", "y": "setting"})
def plot(
    *,
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN", help="a run's folder, or its name in results", autocompletion=runs
        ),
    ],
    **given: object,
) -> int:
    """Draw a run in the terminal, or as a picture file."""
    screen, options = every([lambda: read(Screen, given), lambda: _options(given)])
    folder = intact(run)
    picture = _picture(folder, options)
    if options.output is not None:
        _save(picture, options.output, screen)
    elif screen.format == "table":
        from gdcli.report.charts.terminal import print_picture

        print_picture(picture, screen.console())
    else:
        from gdcli.report.charts.chart import print_points

        print_points(picture, screen.format, screen.console())
    return 0


def _options(given: Mapping[str, object]) -> Picture:
    options = read(Picture, given)
    for name, value in (("--x", options.x), ("--y", options.y)):
        if value is not None and options.kind != "heatmap":
            what = f"it is an axis of a heatmap, and --kind is {options.kind}"
            raise UserError(name, what, "add --kind heatmap")
    if options.output is not None:
        checked_target(options.output, SUFFIXES)
        if given.get("format") is not None:
            what = "it is of what is printed, and --output prints nothing"
            raise UserError("--format", what, "leave one of them out")
    return options


def _picture(folder: Path, options: Picture) -> Chart | HeatMap:
    from gdcli.report.charts.charts import curves, heatmap, multiples, read_source, sensitivity

    source = read_source(folder, options.metric)
    if options.kind == "heatmap":
        return heatmap(source, options.x or "lr", options.y or "setting")
    draw = {"curves": curves, "multiples": multiples, "sensitivity": sensitivity}[options.kind]
    return draw(source)


def _save(picture: Chart | HeatMap, file: Path, screen: Screen) -> None:
    from gdcli.report.charts.files import figure_bytes
    from gdcli.runs import atomic

    atomic.write(file, [figure_bytes(picture, file.suffix[1:].lower())])
    screen.tell(f"the picture is in {file}")
