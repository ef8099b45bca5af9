"""`gdcli landscape PROBLEM`: the loss around the trials of a grid, and their ways across it.

`gdcli explore PROBLEM`: what the training dynamics of a grid say of the training examples.

`gdcli lr-range PROBLEM`: which learning rates suit the settings of a grid.

`gdcli gradcheck PROBLEM`: whether backpropagation says what the loss does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from annotated_types import Ge

from gdcli.cli.options import RUN, Screen, checked_output, every, given_of, read, takes
from gdcli.cli.problem_commands import Problems, Set, Vary, Zip, where_of
from gdcli.errors import UserError
from gdcli.experiment.experiment import Experiment, Given
from gdcli.experiment.experiment import read as read_experiment
from gdcli.experiment.grid import Axes, Training
from gdcli.problem import Problem
from gdcli.studies.options import DataMap, GradientCheck, Machine, RangeTest, View

if TYPE_CHECKING:
    from gdcli.studies.explore.dynamics import Exploration
    from gdcli.studies.landscape.surface import Landscape
    from gdcli.studies.lr_range.search import SettingRange

LANDSCAPE_WHERE = "gdcli landscape"
LANDSCAPE_DECIDED = ("measure",)  # it shows no curve
LANDSCAPE_ENDINGS = (".csv", ".png", ".svg", ".pdf")
LandscapeOutput = Annotated[
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

    where = LANDSCAPE_WHERE
    beside = (View, Axes, Training, Machine, Screen)
    decided = LANDSCAPE_DECIDED

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

        @takes(panels, defaults, without=LANDSCAPE_DECIDED)
        def command(
            *, vary: Vary = None, zip_: Zip = None, output: LandscapeOutput = None, **given: object
        ) -> int:
            experiment = partial(Landscapes.experiment, name, problem, given, vary, zip_)
            return _draw(output or [], experiment, given)

        return command

    def of_file(self, file: str) -> Callable[..., int]:
        """Return what draws the landscape of an experiment file."""

        @takes({"View": (View,), RUN: (Machine, Screen)})
        def command(*, set_: Set = None, output: LandscapeOutput = None, **given: object) -> int:
            return _draw(output or [], partial(Landscapes.experiment_in, file, set_), given)

        return command


def _draw(output: list[str], experiment: Callable[[], Experiment], given: Mapping[str, Any]) -> int:
    files = [Path(file) for file in output]
    screen, machine, view, read_one, *_ = every(
        [
            *(partial(read, cls, given) for cls in (Screen, Machine, View)),
            experiment,
            *(partial(checked_output, file, LANDSCAPE_ENDINGS) for file in files),
        ]
    )
    from gdcli.report.progress import progress_bar
    from gdcli.runs.work import left_out
    from gdcli.studies.landscape.show import print_landscape
    from gdcli.studies.landscape.surface import landscape

    bar = partial(progress_bar, quiet=screen.quiet, color=not screen.no_color)
    scene = landscape(read_one, view, machine, bar)
    print_landscape(scene, screen.format, screen.console())
    for file in files:
        screen.tell(f"written: {', '.join(map(str, _write_landscape(scene, file)))}")
    for line in left_out(scene.failed, read_one.varied):
        screen.warn(line)
    return 1 if scene.failed else 0


def _write_landscape(scene: Landscape, file: Path) -> list[Path]:
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


EXPLORE_ENDINGS = (".html", ".htm")
# What the study itself decides, every epoch of every trial; and what would show in a curve alone.
EXPLORE_DECIDED = ("record", "tol", "target-loss", "measure")


@dataclass(frozen=True)
class ExploreOutput:
    """What is written besides what is printed."""

    output: Annotated[Path | None, "write the data maps as an interactive page, FILE.html"] = None
    folder: Annotated[
        Path | None,
        "folder of the tables (default results/explore-, the problem and a hash); as explore "
        "in a run's folder, report shows them",
    ] = None
    workers: Annotated[int, "processes; there is only one", Ge(1)] = 1

    def __post_init__(self) -> None:
        """Raise UserError for several workers."""
        if self.workers > 1:
            what = f"{self.workers} processes are asked for, and an exploration is made by one"
            fix = "leave it out; parts of a grid can be explored side by side"
            raise UserError("--workers", what, fix)


class Explorations(Problems):
    """Show which training examples are easy, hard or mislabelled."""

    where = "gdcli explore"
    beside = (DataMap, Axes, Training, ExploreOutput, Machine, Screen)
    decided = EXPLORE_DECIDED

    @staticmethod
    def function(name: str, problem: type[Problem]) -> Callable[..., int]:
        """Return what explores the examples of a problem."""
        defaults = {"lr": (problem.default_lr,), "epochs": problem.default_epochs}
        panels: dict[str, tuple[type, ...]] = {
            "Problem": (problem,),
            "Data map": (DataMap,),
            "Grid": (Axes, Training),
            RUN: (ExploreOutput, Machine, Screen),
        }

        @takes(panels, defaults, without=EXPLORE_DECIDED)
        def command(*, vary: Vary = None, zip_: Zip = None, **given: object) -> int:
            return _explore(
                partial(Explorations.experiment, name, problem, given, vary, zip_), given
            )

        return command

    def of_file(self, file: str) -> Callable[..., int]:
        """Return what explores the examples of an experiment file."""

        @takes({"Data map": (DataMap,), RUN: (ExploreOutput, Machine, Screen)})
        def command(*, set_: Set = None, **given: object) -> int:
            return _explore(partial(Explorations.experiment_in, file, set_), given)

        return command


def _explore(experiment: Callable[[], Experiment], given: Mapping[str, Any]) -> int:
    screen, machine, written, options, read_one, *_ = every(
        [
            *(partial(read, cls, given) for cls in (Screen, Machine, ExploreOutput, DataMap)),
            experiment,
        ]
    )
    if written.output:
        checked_output(written.output, EXPLORE_ENDINGS)
    from gdcli.report.progress import progress_bar
    from gdcli.runs.work import left_out
    from gdcli.studies.explore.dynamics import explore
    from gdcli.studies.explore.files import folder_for
    from gdcli.studies.explore.show import print_exploration

    folder = folder_for(read_one, options, written.folder)
    bar = partial(progress_bar, quiet=screen.quiet, color=not screen.no_color)
    found = explore(read_one, options, machine, bar)
    # First of all: whoever reads what is printed may have enough of it early.
    _write_explore(found, folder, machine)
    size = _write_page(found, written.output) if written.output else ""
    print_exploration(found, screen.format, screen.console())
    screen.tell(f"the examples are in {folder / 'examples.csv'}")
    if written.output:
        screen.tell(f"the data maps are in {written.output} ({size})")
    for line in left_out(found.failed, read_one.varied):
        screen.warn(line)
    return 1 if found.failed else 0


def _write_explore(found: Exploration, folder: Path, machine: Machine) -> None:
    from gdcli.studies.explore import show as rows
    from gdcli.studies.explore.files import write

    tables = {
        "examples.csv": rows.examples_csv(found),
        "settings.csv": rows.settings_csv(found),
        "correlations.csv": rows.correlations_csv(found),
    }
    write(folder, found, machine, tables)


def _write_page(found: Exploration, file: Path) -> str:
    """Write the page; return its size."""
    from gdcli.report.labels import bytes_in_words
    from gdcli.runs import atomic
    from gdcli.studies.explore.page import page_bytes

    content = page_bytes(found)
    atomic.write(file, [content])
    return bytes_in_words(len(content))


# What the search itself decides: the rates, how densely they are recorded, and what ends a trial.
RANGE_DECIDED = ("lr", "schedule", "record", "tol", "target-loss", "measure")
RANGE_ENDINGS = (".csv", ".png", ".svg", ".pdf", ".html", ".htm")
SEEDS = "0:2"  # where none is given: a single one may be lucky


RangeOutput = Annotated[
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
    decided = RANGE_DECIDED
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

        @takes(panels, {"seed": SEEDS}, without=RANGE_DECIDED)
        def command(*, vary: Vary = None, output: RangeOutput = None, **given: object) -> int:
            seeded = {**given, "seed": SEEDS if given.get("seed") is None else given["seed"]}
            read_one = partial(LrRange.experiment, name, problem, seeded, vary, None)
            return _test(output or [], read_one, given)

        return command

    def of_file(self, file: str) -> Callable[..., int]:
        """Return what finds the learning rate of an experiment file."""

        @takes({"Learning rates": (RangeTest,), RUN: (Machine, Screen)})
        def command(*, set_: Set = None, output: RangeOutput = None, **given: object) -> int:
            return _test(output or [], partial(LrRange.experiment_in, file, set_), given)

        return command


def _test(output: list[str], read_one: Callable[[], Experiment], given: Mapping[str, Any]) -> int:
    files = [Path(file) for file in output]
    screen, machine, test = every(partial(read, cls, given) for cls in (Screen, Machine, RangeTest))
    experiment: Experiment
    *_, experiment = every(
        [test.rates, *(partial(checked_output, file, RANGE_ENDINGS) for file in files), read_one]
    )
    from gdcli.report.progress import progress_bar
    from gdcli.runs.work import left_out
    from gdcli.studies.lr_range.search import range_test
    from gdcli.studies.lr_range.show import print_ranges

    bar = partial(progress_bar, quiet=screen.quiet, color=not screen.no_color)
    ranges = range_test(experiment, test, machine, bar)
    # First of all: whoever reads what is printed may have enough of it early.
    for file in files:
        _write_lr_range(experiment, ranges, test, file)
    print_ranges(experiment, ranges, test, screen.format, screen.console())
    for file in files:
        screen.tell(f"written: {file}")
    failed = {trial: said for found in ranges for trial, said in found.failed.items()}
    for line in left_out(failed, experiment.varied):
        screen.warn(line)
    return 1 if failed else 0


def _write_lr_range(
    experiment: Experiment, ranges: list[SettingRange], test: RangeTest, file: Path
) -> None:
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


GRADCHECK_WHERE = "gdcli gradcheck"


@dataclass(frozen=True)
class Start:
    """Where the gradient is checked."""

    seed: Annotated[int, "seed of the start", Ge(0)] = 0
    data_seed: Annotated[int, "seed of drawn data and of the train/test split", Ge(0)] = 0


class GradientChecks(Problems):
    """Compare backpropagation with finite differences."""

    where = GRADCHECK_WHERE
    beside = (GradientCheck, Start, Screen)

    @staticmethod
    def function(name: str, problem: type[Problem]) -> Callable[..., int]:
        """Return what checks the gradient of a problem."""
        panels: dict[str, tuple[type, ...]] = {
            "Problem": (problem,),
            "Check": (GradientCheck, Start),
            RUN: (Screen,),
        }

        @takes(panels)
        def command(**given: object) -> int:
            return _check(name, problem, given)

        return command


def _check(name: str, problem: type[Problem], given: Mapping[str, Any]) -> int:
    screen, check, experiment = every(
        [
            lambda: read(Screen, given),
            lambda: read(GradientCheck, given),
            lambda: _experiment(name, problem, given),
        ]
    )
    from gdcli.studies.gradcheck import gradient_check, print_checked

    found = gradient_check(experiment.grid.trials[0], check)
    print_checked(found, check, screen.format, screen.console())
    return 0 if all(one.agrees for one in found) else 1


def _experiment(name: str, problem: type[Problem], given: Mapping[str, Any]) -> Experiment:
    """Return one trial in double precision."""
    return read_experiment(
        Given(
            problem=name,
            options=given_of(given, problem),
            grid={**given_of(given, Start), "dtype": "float64", "steps": 1},
            vary={},
            zip=(),
            where=where_of(GRADCHECK_WHERE),
        )
    )
