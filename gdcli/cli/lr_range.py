"""`gdcli lr-range PROBLEM`: which learning rates suit the settings of a grid."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from gdcli.cli.from_file import Set
from gdcli.cli.grid_command import Problems, Vary
from gdcli.cli.mistakes import every
from gdcli.cli.options import RUN, read, takes
from gdcli.cli.output_file import checked_output
from gdcli.cli.screen import Screen
from gdcli.experiment import Experiment
from gdcli.grid import Axes
from gdcli.problem import Problem
from gdcli.studies.options import Machine, RangeTest
from gdcli.training import Training

# What the test itself decides: the rates, how long and how densely they are tried, and by what.
DECIDED = ("lr", "schedule", "epochs", "record", "tol", "target-loss", "measure")


@dataclass(frozen=True)
class Written:
    """What is written besides what is printed."""

    output: Annotated[Path | None, "write the losses at every rate to this CSV file"] = None


class LrRange(Problems):
    """Test which learning rates a problem takes."""

    where = "gdcli lr-range"
    beside = (RangeTest, Axes, Training, Written, Machine, Screen)
    decided = DECIDED
    own = ("steps", "diverge-at")  # of the ramp, and of its reading

    @staticmethod
    def function(name: str, problem: type[Problem]) -> Callable[..., int]:
        """Return what tests the learning rates of a problem."""
        panels: dict[str, tuple[type, ...]] = {
            "Problem": (problem,),
            "Learning rates": (RangeTest,),
            "Grid": (Axes, Training),
            RUN: (Written, Machine, Screen),
        }

        @takes(panels, without=DECIDED)
        def command(*, vary: Vary = None, **given: object) -> int:
            return _test(partial(LrRange.experiment, name, problem, given, vary, None), given)

        return command

    def of_file(self, file: str) -> Callable[..., int]:
        """Return what tests the learning rates of an experiment file."""

        @takes({"Learning rates": (RangeTest,), RUN: (Written, Machine, Screen)})
        def command(*, set_: Set = None, **given: object) -> int:
            return _test(partial(LrRange.experiment_in, file, set_), given)

        return command


def _test(read_one: Callable[[], Experiment], given: Mapping[str, Any]) -> int:
    screen, machine, written, test = every(
        partial(read, cls, given) for cls in (Screen, Machine, Written, RangeTest)
    )
    *_, experiment = every(
        [
            test.rates,
            lambda: written.output and checked_output(written.output, (".csv",)),
            read_one,
        ]
    )
    from gdcli.report.lr_range import curve_csv, print_ranges
    from gdcli.report.progress import progress_bar
    from gdcli.runs import atomic
    from gdcli.studies.lr_range import range_test

    bar = partial(progress_bar, quiet=screen.quiet, color=not screen.no_color)
    ranges = range_test(experiment, test, machine, bar)
    print_ranges(experiment, ranges, test, screen.format, screen.console())
    if written.output:
        atomic.write(written.output, [curve_csv(experiment, ranges).encode()])
        screen.tell(f"the losses at every rate are in {written.output}")
    return 0
