"""`gdcli landscape PROBLEM`: the loss around the trials of a grid, and their ways across it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gdcli.cli.from_file import Set
from gdcli.cli.grid_command import Problems, Vary, Zip
from gdcli.cli.mistakes import every
from gdcli.cli.options import RUN, read, takes
from gdcli.cli.output_file import checked_output
from gdcli.cli.screen import Screen
from gdcli.experiment.experiment import Experiment
from gdcli.experiment.grid import Axes, Training
from gdcli.problem import Problem
from gdcli.studies.options import Machine, View

if TYPE_CHECKING:
    from gdcli.studies.landscape.surface import Landscape

WHERE = "gdcli landscape"
DECIDED = ("measure",)  # it shows no curve
ENDINGS = (".csv", ".png", ".svg", ".pdf")
Output = Annotated[
    list[str] | None,
    typer.Option(
        "-o",
        "--output",
        metavar="FILE",
        help="write a picture (.png, .svg, .pdf), or the losses and, beside them, the trials' "
        "points (.csv; as landscape.csv in a run's folder, report shows them); may be repeated",
        rich_help_panel=RUN,
    ),
]


class Landscapes(Problems):
    """Draw the loss around the trials of a grid."""

    where = WHERE
    beside = (View, Axes, Training, Machine, Screen)
    decided = DECIDED

    @staticmethod
    def function(name: str, problem: type[Problem]) -> Callable[..., int]:
        """Return what draws the landscape of a problem."""
        defaults = {"lr": (problem.default_lr,), "epochs": problem.default_epochs}
        panels: dict[str, tuple[type, ...]] = {
            "Problem": (problem,),
            "View": (View,),
            "Grid": (Axes, Training),
            RUN: (Machine, Screen),
        }

        @takes(panels, defaults, without=DECIDED)
        def command(
            *, vary: Vary = None, zip_: Zip = None, output: Output = None, **given: object
        ) -> int:
            experiment = partial(Landscapes.experiment, name, problem, given, vary, zip_)
            return _draw(output or [], experiment, given)

        return command

    def of_file(self, file: str) -> Callable[..., int]:
        """Return what draws the landscape of an experiment file."""

        @takes({"View": (View,), RUN: (Machine, Screen)})
        def command(*, set_: Set = None, output: Output = None, **given: object) -> int:
            return _draw(output or [], partial(Landscapes.experiment_in, file, set_), given)

        return command


def _draw(output: list[str], experiment: Callable[[], Experiment], given: Mapping[str, Any]) -> int:
    files = [Path(file) for file in output]
    screen, machine, view, read_one, *_ = every(
        [
            *(partial(read, cls, given) for cls in (Screen, Machine, View)),
            experiment,
            *(partial(checked_output, file, ENDINGS) for file in files),
        ]
    )
    from gdcli.report.progress import progress_bar
    from gdcli.runs.failures import left_out
    from gdcli.studies.landscape.show import print_landscape
    from gdcli.studies.landscape.surface import landscape

    bar = partial(progress_bar, quiet=screen.quiet, color=not screen.no_color)
    scene = landscape(read_one, view, machine, bar)
    print_landscape(scene, screen.format, screen.console())
    for file in files:
        screen.tell(f"written: {', '.join(map(str, _write(scene, file)))}")
    for line in left_out(scene.failed, read_one.varied):
        screen.warn(line)
    return 1 if scene.failed else 0


def _write(scene: Landscape, file: Path) -> list[Path]:
    """Write a picture, or the tables; return the files."""
    from gdcli.runs import atomic

    if file.suffix.lower() != ".csv":
        from gdcli.studies.landscape.show import drawn

        atomic.write(file, [drawn(scene, file.suffix.lower()[1:])])
        return [file]
    from gdcli.studies.landscape.show import plane_csv, plane_json, ways_csv

    ways, meaning = file.with_name(f"{file.stem}-ways.csv"), file.with_suffix(".json")
    atomic.write(file, (line.encode() for line in plane_csv(scene)))
    atomic.write(ways, (line.encode() for line in ways_csv(scene)))
    atomic.write(meaning, [plane_json(scene).encode()])
    return [file, ways, meaning]
