"""`gdcli lr-range PROBLEM`: which learning rates suit the settings of a grid."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from gdcli.cli.assignments import assignments
from gdcli.cli.grid_command import Problems, Vary, where_of
from gdcli.cli.mistakes import every
from gdcli.cli.options import RUN, given_of, read, takes
from gdcli.cli.output_file import checked_output
from gdcli.cli.screen import Screen
from gdcli.experiment import Experiment, Given
from gdcli.experiment import read as read_experiment
from gdcli.fields import options_of
from gdcli.grid import Axes
from gdcli.problem import Problem
from gdcli.studies.options import Machine, RangeTest
from gdcli.training import Training

WHERE = "gdcli lr-range"
# What the test itself decides: the rates, how long and how densely they are tried, and by what.
DECIDED = ("lr", "schedule", "epochs", "record", "tol", "target-loss", "measure")


@dataclass(frozen=True)
class Written:
    """What is written besides what is printed."""

    output: Annotated[Path | None, "write the losses at every rate to this CSV file"] = None


class LrRange(Problems):
    """Test which learning rates a problem takes."""

    where = WHERE
    beside = (RangeTest, Axes, Training, Written, Machine, Screen)

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
            return _test(name, problem, given, vary or [])

        return command


def _test(name: str, problem: type[Problem], given: Mapping[str, Any], vary: list[str]) -> int:
    screen, machine, written, test = every(
        partial(read, cls, given) for cls in (Screen, Machine, Written, RangeTest)
    )
    *_, experiment = every(
        [
            test.rates,
            lambda: written.output and checked_output(written.output, (".csv",)),
            lambda: _experiment(name, problem, given, vary, test),
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


def _experiment(
    name: str, problem: type[Problem], given: Mapping[str, Any], vary: list[str], test: RangeTest
) -> Experiment:
    """Return the grid that was typed, with the steps of the ramp as its budget."""
    typed = given_of(given, Axes, Training)
    own = options_of(RangeTest)
    return read_experiment(
        Given(
            problem=name,
            options=given_of(given, problem),
            grid={key: value for key, value in typed.items() if key not in own}
            | {"steps": test.steps, "record": "step"},
            vary=assignments(vary, "--vary"),
            zip=(),
            where=where_of(WHERE),
        )
    )
