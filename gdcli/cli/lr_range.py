"""`gdcli lr-range PROBLEM`: which learning rates suit the settings of a grid."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gdcli.cli.from_file import Set
from gdcli.cli.grid_command import Problems, Vary
from gdcli.cli.mistakes import every
from gdcli.cli.options import RUN, read, takes
from gdcli.cli.output_file import checked_output
from gdcli.cli.screen import Screen
from gdcli.experiment.experiment import Experiment
from gdcli.experiment.grid import Axes, Training
from gdcli.problem import Problem
from gdcli.studies.options import Machine, RangeTest

if TYPE_CHECKING:
    from gdcli.studies.lr_range.search import SettingRange

# What the search itself decides: the rates, how densely they are recorded, and what ends a trial.
DECIDED = ("lr", "schedule", "record", "tol", "target-loss", "measure")
ENDINGS = (".csv", ".png", ".svg", ".pdf", ".html", ".htm")
SEEDS = "0:2"  # where none is given: a single one may be lucky


Output = Annotated[
    list[str] | None,
    typer.Option(
        "-o",
        "--output",
        metavar="FILE",
        help="write a picture (.png, .svg, .pdf), a page (.html), or the losses at every rate "
        "(.csv); may be repeated",
        rich_help_panel=RUN,
    ),
]


class LrRange(Problems):
    """Find the learning rate to use, by holding rates from the start."""

    where = "gdcli lr-range"
    beside = (RangeTest, Axes, Training, Machine, Screen)
    decided = DECIDED
    own = ("epochs", "steps", "diverge-at")  # of a rate that is held, and of its reading

    @staticmethod
    def function(name: str, problem: type[Problem]) -> Callable[..., int]:
        """Return what finds the learning rate of a problem."""
        panels: dict[str, tuple[type, ...]] = {
            "Problem": (problem,),
            "Learning rates": (RangeTest,),
            "Grid": (Axes, Training),
            RUN: (Machine, Screen),
        }

        @takes(panels, {"seed": SEEDS}, without=DECIDED)
        def command(*, vary: Vary = None, output: Output = None, **given: object) -> int:
            seeded = {**given, "seed": SEEDS if given.get("seed") is None else given["seed"]}
            read_one = partial(LrRange.experiment, name, problem, seeded, vary, None)
            return _test(output or [], read_one, given)

        return command

    def of_file(self, file: str) -> Callable[..., int]:
        """Return what finds the learning rate of an experiment file."""

        @takes({"Learning rates": (RangeTest,), RUN: (Machine, Screen)})
        def command(*, set_: Set = None, output: Output = None, **given: object) -> int:
            return _test(output or [], partial(LrRange.experiment_in, file, set_), given)

        return command


def _test(output: list[str], read_one: Callable[[], Experiment], given: Mapping[str, Any]) -> int:
    files = [Path(file) for file in output]
    screen, machine, test = every(partial(read, cls, given) for cls in (Screen, Machine, RangeTest))
    experiment: Experiment
    *_, experiment = every(
        [test.rates, *(partial(checked_output, file, ENDINGS) for file in files), read_one]
    )
    from gdcli.report.progress import progress_bar
    from gdcli.runs.failures import left_out
    from gdcli.studies.lr_range.search import range_test
    from gdcli.studies.lr_range.show import print_ranges

    bar = partial(progress_bar, quiet=screen.quiet, color=not screen.no_color)
    ranges = range_test(experiment, test, machine, bar)
    # First of all: whoever reads what is printed may have enough of it early.
    for file in files:
        _write(experiment, ranges, test, file)
    print_ranges(experiment, ranges, test, screen.format, screen.console())
    for file in files:
        screen.tell(f"written: {file}")
    failed = {trial: said for found in ranges for trial, said in found.failed.items()}
    for line in left_out(failed, experiment.varied):
        screen.warn(line)
    return 1 if failed else 0


def _write(experiment: Experiment, ranges: list[SettingRange], test: RangeTest, file: Path) -> None:
    """Write the losses, a picture of them, or a page."""
    from gdcli.runs import atomic

    ending = file.suffix.lower()
    if ending == ".csv":
        from gdcli.studies.lr_range.show import curve_csv

        content = curve_csv(experiment, ranges).encode()
    elif ending in (".html", ".htm"):
        from gdcli.studies.lr_range.show import page

        content = page(experiment, ranges, test)
    else:
        from gdcli.report.charts.files import figure_bytes
        from gdcli.studies.lr_range.show import labels_of, picture_of

        labels = labels_of(ranges, experiment.varied)
        content = figure_bytes(picture_of(labels, ranges), ending[1:])
    atomic.write(file, [content])
