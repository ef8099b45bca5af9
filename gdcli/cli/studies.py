"""Studies of a problem: `gdcli lr-range`, `landscape`, `explore` and `gradcheck`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer
from annotated_types import Ge

from gdcli.cli.options import GRID, RUN, Screen, checked_file, collect_errors, read
from gdcli.cli.problem_commands import ReadExperiment, problem_command
from gdcli.errors import UserError
from gdcli.experiment.grid import Axes, Trial, described
from gdcli.experiment.training import Training
from gdcli.fields import counted
from gdcli.numbers import bytes_in_words
from gdcli.runs import atomic
from gdcli.studies.options import Compute, DataMap, GradientCheck, RangeTest, View

if TYPE_CHECKING:
    pass

PAGES = (".html", ".htm")
PICTURES = (".png", ".svg", ".pdf")


def output(what: str) -> Any:
    """Return the option -o of files to write, each by its ending; `what` says which."""
    return typer.Option(
        "-o",
        "--output",
        metavar="FILE",
        help=f"{what}; may be repeated",
        rich_help_panel=RUN,
    )


RangeOutput: TypeAlias = Annotated[
    list[str] | None,
    output(
        "write a picture (.png, .svg, .pdf), an interactive page (.html), or the losses at every "
        "learning rate (.csv)"
    ),
]
LandscapeOutput: TypeAlias = Annotated[
    list[str] | None,
    output(
        "write a picture (.png, .svg, .pdf), or the losses and, beside them, the path of each "
        "trial (.csv); gdcli report shows a file landscape.csv in a run's folder"
    ),
]


@problem_command(
    {"Learning rates": (RangeTest,), GRID: (Axes, Training), RUN: (Compute, Screen)},
    fixed=("lr", "schedule", "record", "tol", "target-loss", "measure"),
    replaced=("epochs", "steps", "diverge-at"),
    defaults={"seed": "0:2"},  # a single one may be lucky
    zips=False,
    takes_files=True,
)
def lr_range(
    experiment: ReadExperiment, given: Mapping[str, Any], *, output: RangeOutput = None
) -> int:
    """Find a good learning rate for each setting of a grid.

    Learning rates are tried one by one, each in trainings of its own that keep the rate. The best
    one has the lowest loss at the end. A rate is unstable if its loss ends at more than
    --diverge-at times its start, or is not a number.
    """
    with collect_errors() as collect:
        screen = collect(read, Screen, given)
        compute = collect(read, Compute, given)
        test = collect(read, RangeTest, given)
    with collect_errors() as collect:
        collect(test.rates)
        files = [
            collect(checked_file, Path(name), (".csv", *PICTURES, *PAGES)) for name in output or []
        ]
        grid = collect(experiment)
    from gdcli.studies.lr_range import search, show

    ranges = search.range_test(grid, test, compute, screen.progress)
    # First of all: whoever reads what is printed may have enough of it early.
    for file in files:
        atomic.write(file, [show.file_of(grid, ranges, test, file.suffix.lower())])
    show.print_ranges(grid, ranges, test, screen.format, screen.console())
    for file in files:
        screen.tell(f"written: {file}")
    failed = {trial: said for found in ranges for trial, said in found.failed.items()}
    return _exit_code(failed, grid.varied, screen)


@problem_command(
    {"View": (View,), GRID: (Axes, Training), RUN: (Compute, Screen)},
    fixed=("measure",),  # it shows no curve
    takes_files=True,
)
def landscape(
    experiment: ReadExperiment, given: Mapping[str, Any], *, output: LandscapeOutput = None
) -> int:
    """Draw the loss around the paths that training takes.

    The trials of a grid are trained, and the loss is computed over a plane with their paths. With
    two parameters the plane shows both; with more, --directions chooses it.
    """
    with collect_errors() as collect:
        screen = collect(read, Screen, given)
        compute = collect(read, Compute, given)
        view = collect(read, View, given)
        grid = collect(experiment)
        files = [collect(checked_file, Path(name), (".csv", *PICTURES)) for name in output or []]
    from gdcli.studies.landscape import show, surface

    scene = surface.landscape(grid, view, compute, screen.progress)
    show.print_landscape(scene, screen.format, screen.console())
    for file in files:
        ending, written = file.suffix.lower(), [file]
        if ending == ".csv":
            written = show.write_tables(scene, file)
        else:
            atomic.write(file, [show.drawn(scene, ending[1:])])
        screen.tell(f"written: {', '.join(map(str, written))}")
    return _exit_code(scene.failed, grid.varied, screen)


@dataclass(frozen=True)
class ExploreFiles:
    """What is written besides what is printed."""

    output: Annotated[
        Path | None, "write the data maps to this file as an interactive page (.html)"
    ] = None
    folder: Annotated[
        Path | None,
        "folder of the tables (default: results/explore- with the problem and a hash); gdcli "
        "report shows them where they are the folder explore in a run's folder",
    ] = None
    workers: Annotated[int, "processes; only 1 is possible", Ge(1)] = 1

    def __post_init__(self) -> None:
        """Raise UserError for several workers."""
        if self.workers > 1:
            what = f"{self.workers} processes are asked for, and explore uses only one"
            fix = "leave it out; parts of a grid can be explored side by side"
            raise UserError("--workers", what, fix)


@problem_command(
    {"Data map": (DataMap,), GRID: (Axes, Training), RUN: (ExploreFiles, Compute, Screen)},
    # It records every epoch of every trial; and what would show in a curve alone.
    fixed=("record", "tol", "target-loss", "measure"),
    takes_files=True,
    of_examples=True,
)
def explore(experiment: ReadExperiment, given: Mapping[str, Any]) -> int:
    """Find the training examples that are easy, hard or mislabelled.

    The trials are trained, and in every epoch the loss of each example and the probability of its
    label are recorded. An example is hard when its label stays improbable.
    """
    with collect_errors() as collect:
        screen = collect(read, Screen, given)
        compute = collect(read, Compute, given)
        wanted = collect(read, ExploreFiles, given)
        options = collect(read, DataMap, given)
        grid = collect(experiment)
    if wanted.output:
        checked_file(wanted.output, PAGES)
    from gdcli.studies.explore import dynamics, files, page, show

    folder = files.folder_for(grid, options, wanted.folder)
    found = dynamics.explore(grid, options, compute, screen.progress)
    # First of all: whoever reads what is printed may have enough of it early.
    files.write(folder, found, compute, show.tables_of(found))
    page_size = ""
    if wanted.output:
        content = page.page_bytes(found)
        atomic.write(wanted.output, [content])
        page_size = bytes_in_words(len(content))
    show.print_exploration(found, screen.format, screen.console())
    screen.tell(f"the examples are in {folder / 'examples.csv'}")
    if wanted.output:
        screen.tell(f"the data maps are in {wanted.output} ({page_size})")
    return _exit_code(found.failed, grid.varied, screen)


@dataclass(frozen=True)
class Start:
    """Where the gradient is checked."""

    seed: Annotated[int, "seed of the starting point at which the gradient is checked", Ge(0)] = 0
    data_seed: Annotated[int, "seed of drawn data and of the train/test split", Ge(0)] = 0


@problem_command(
    {"Check": (GradientCheck, Start), RUN: (Screen,)},
    of_grid=(Start,),
    settings={"dtype": "float64", "steps": 1},  # one trial in double precision
)
def gradcheck(experiment: ReadExperiment, given: Mapping[str, Any]) -> int:
    """Compare a problem's gradients with finite differences.

    Each entry of the gradient is compared with the change of the loss over a small step. The exit
    code is 1 if they differ.
    """
    with collect_errors() as collect:
        screen = collect(read, Screen, given)
        check = collect(read, GradientCheck, given)
        grid = collect(experiment)
    from gdcli.studies.gradcheck import gradient_check, print_checked

    found = gradient_check(grid.grid.trials[0], check)
    print_checked(found, check, screen.format, screen.console())
    return 0 if all(one.agrees for one in found) else 1


def _exit_code(failed: Mapping[Trial, str], varied: Sequence[str], screen: Screen) -> int:
    """Warn of the trials that failed, which a study leaves out; return 1 if there are any."""
    for line in _left_out(failed, varied):
        screen.warn(line)
    return int(bool(failed))


def _left_out(failed: Mapping[Trial, str], varied: Sequence[str]) -> list[str]:
    """Return a line for each message of a study's failed trials, with their number."""
    groups: dict[str, list[Trial]] = {}
    for trial, message in failed.items():
        groups.setdefault(message, []).append(trial)
    return [
        f"left out: {counted(len(trials), 'trial', 'trials')} that failed"
        f" ({'' if len(trials) == 1 else 'the first: '}{described(trials[0], varied)}): {message}"
        for message, trials in groups.items()
    ]
