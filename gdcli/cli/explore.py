"""`gdcli explore PROBLEM`: what the training dynamics of a grid say of the training examples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge

from gdcli.cli.from_file import Set
from gdcli.cli.grid_command import Problems, Vary, Zip
from gdcli.cli.mistakes import every
from gdcli.cli.options import RUN, read, takes
from gdcli.cli.output_file import checked_output
from gdcli.cli.screen import Screen
from gdcli.errors import UserError
from gdcli.experiment.experiment import Experiment
from gdcli.experiment.grid import Axes, Training
from gdcli.problem import Problem
from gdcli.studies.options import DataMap, Machine

if TYPE_CHECKING:
    from gdcli.studies.explore.dynamics import Exploration

ENDINGS = (".html", ".htm")
# What the study itself decides, every epoch of every trial; and what would show in a curve alone.
DECIDED = ("record", "tol", "target-loss", "measure")


@dataclass(frozen=True)
class Written:
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
    beside = (DataMap, Axes, Training, Written, Machine, Screen)
    decided = DECIDED

    @staticmethod
    def function(name: str, problem: type[Problem]) -> Callable[..., int]:
        """Return what explores the examples of a problem."""
        defaults = {"lr": (problem.default_lr,), "epochs": problem.default_epochs}
        panels: dict[str, tuple[type, ...]] = {
            "Problem": (problem,),
            "Data map": (DataMap,),
            "Grid": (Axes, Training),
            RUN: (Written, Machine, Screen),
        }

        @takes(panels, defaults, without=DECIDED)
        def command(*, vary: Vary = None, zip_: Zip = None, **given: object) -> int:
            return _explore(
                partial(Explorations.experiment, name, problem, given, vary, zip_), given
            )

        return command

    def of_file(self, file: str) -> Callable[..., int]:
        """Return what explores the examples of an experiment file."""

        @takes({"Data map": (DataMap,), RUN: (Written, Machine, Screen)})
        def command(*, set_: Set = None, **given: object) -> int:
            return _explore(partial(Explorations.experiment_in, file, set_), given)

        return command


def _explore(experiment: Callable[[], Experiment], given: Mapping[str, Any]) -> int:
    screen, machine, written, options, read_one, *_ = every(
        [
            *(partial(read, cls, given) for cls in (Screen, Machine, Written, DataMap)),
            experiment,
        ]
    )
    if written.output:
        checked_output(written.output, ENDINGS)
    from gdcli.report.progress import progress_bar
    from gdcli.runs.failures import left_out
    from gdcli.studies.explore.dynamics import explore
    from gdcli.studies.explore.files import folder_for
    from gdcli.studies.explore.show import print_exploration

    folder = folder_for(read_one, options, written.folder)
    bar = partial(progress_bar, quiet=screen.quiet, color=not screen.no_color)
    found = explore(read_one, options, machine, bar)
    # First of all: whoever reads what is printed may have enough of it early.
    _write(found, folder, machine)
    size = _write_page(found, written.output) if written.output else ""
    print_exploration(found, screen.format, screen.console())
    screen.tell(f"the examples are in {folder / 'examples.csv'}")
    if written.output:
        screen.tell(f"the data maps are in {written.output} ({size})")
    for line in left_out(found.failed, read_one.varied):
        screen.warn(line)
    return 1 if found.failed else 0


def _write(found: Exploration, folder: Path, machine: Machine) -> None:
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
    from gdcli.report.page.exploration import page_bytes
    from gdcli.report.units import size
    from gdcli.runs import atomic

    content = page_bytes(found)
    atomic.write(file, [content])
    return size(len(content))
