"""`gdcli gradcheck PROBLEM`: whether backpropagation says what the loss does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Ge

from gdcli.cli.grid_command import Problems, where_of
from gdcli.cli.mistakes import every
from gdcli.cli.options import RUN, given_of, read, takes
from gdcli.cli.screen import Screen
from gdcli.experiment.experiment import Experiment, Given
from gdcli.experiment.experiment import read as read_experiment
from gdcli.problem import Problem
from gdcli.studies.options import GradientCheck

WHERE = "gdcli gradcheck"


@dataclass(frozen=True)
class Start:
    """Where the gradient is checked."""

    seed: Annotated[int, "seed of the start", Ge(0)] = 0
    data_seed: Annotated[int, "seed of drawn data and of the train/test split", Ge(0)] = 0


class GradientChecks(Problems):
    """Compare backpropagation with finite differences."""

    where = WHERE
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
            where=where_of(WHERE),
        )
    )
