"""`gdcli run PROBLEM`: one experiment, said on the command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from gdcli.cli.assignments import assignments
from gdcli.cli.grid_command import Problems, Vary, Zip, where_of
from gdcli.cli.mistakes import every
from gdcli.cli.options import RUN, given_of, read, takes
from gdcli.cli.perform import perform
from gdcli.cli.run_name import checked_name
from gdcli.cli.save import save
from gdcli.cli.screen import Screen
from gdcli.errors import UserError
from gdcli.experiment import Experiment, Given
from gdcli.experiment import read as read_experiment
from gdcli.grid import Axes
from gdcli.problem import Problem
from gdcli.runs.options import RunOptions
from gdcli.training import Training

WHERE = "gdcli run"


@dataclass(frozen=True)
class Instead:
    """What can be done with an experiment instead of running it."""

    save: Annotated[Path | None, "write the experiment to this TOML file; do not run it"] = None
    dry_run: Annotated[bool, "print trials, steps, time, memory and disk; write nothing"] = False


class Run(Problems):
    """The subcommands of `gdcli run`."""

    where = WHERE

    @staticmethod
    def function(name: str, problem: type[Problem]) -> Callable[..., int]:
        """Return what runs a problem: its options are the problem's and the grid's."""
        defaults = {
            "lr": (problem.default_lr,),
            "epochs": problem.default_epochs,
            "name": "the problem and a hash",
        }
        panels = {
            "Problem": (problem,),
            "Grid": (Axes, Training),
            RUN: (RunOptions, Instead, Screen),
        }

        @takes(panels, defaults)
        def command(*, vary: Vary = None, zip_: Zip = None, **given: object) -> int:
            return _run(name, problem, given, vary or [], zip_ or [])

        return command


def _run(
    name: str, problem: type[Problem], given: Mapping[str, Any], vary: list[str], zips: list[str]
) -> int:
    screen, options, _, instead, experiment = every(
        [
            lambda: read(Screen, given),
            lambda: read(RunOptions, given),
            lambda: given["name"] is None or checked_name(given["name"], "--name"),
            lambda: read(Instead, given),
            lambda: _experiment(name, problem, given, vary, zips),
        ]
    )
    if instead.save is not None and instead.dry_run:
        raise UserError("--save", "it writes, and --dry-run writes nothing", "leave one out")
    if instead.save is not None:
        return save(experiment, instead.save, screen, overwrite=options.overwrite)
    return perform(experiment, options, screen, dry_run=instead.dry_run)


def _experiment(
    name: str, problem: type[Problem], given: Mapping[str, Any], vary: list[str], zips: list[str]
) -> Experiment:
    return read_experiment(
        Given(
            problem=name,
            options=given_of(given, problem),
            grid=given_of(given, Axes, Training),
            vary=assignments(vary, "--vary"),
            zip=tuple(zips),
            where=where_of(WHERE),
        )
    )
