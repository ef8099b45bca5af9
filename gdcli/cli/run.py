"""`gdcli run PROBLEM`: one experiment, said on the command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from gdcli.cli.grid_command import Problems, Vary, Zip
from gdcli.cli.mistakes import every
from gdcli.cli.options import RUN, read, takes
from gdcli.cli.perform import perform
from gdcli.cli.save import save
from gdcli.cli.screen import Screen
from gdcli.errors import UserError
from gdcli.experiment.experiment import Experiment
from gdcli.experiment.grid import Axes, Training
from gdcli.problem import Problem
from gdcli.runs.options import RunOptions
from gdcli.runs.run_name import checked_name

WHERE = "gdcli run"


@dataclass(frozen=True)
class Instead:
    """What can be done with an experiment instead of running it."""

    save: Annotated[Path | None, "write the experiment to this TOML file; do not run it"] = None
    dry_run: Annotated[bool, "print trials, steps, time, memory and disk; write nothing"] = False


class Run(Problems):
    """Run a grid of experiments on a problem."""

    where = WHERE
    beside = (Axes, Training, RunOptions, Instead, Screen)

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
            return _run(partial(Run.experiment, name, problem, given, vary, zip_), given)

        return command


def _run(read_experiment: Callable[[], Experiment], given: Mapping[str, Any]) -> int:
    screen, options, _, instead, experiment = every(
        [
            lambda: read(Screen, given),
            lambda: read(RunOptions, given),
            lambda: given["name"] is None or checked_name(given["name"], "--name"),
            lambda: read(Instead, given),
            read_experiment,
        ]
    )
    if instead.save is not None and instead.dry_run:
        raise UserError("--save", "it writes, and --dry-run writes nothing", "leave one out")
    if instead.save is not None:
        return save(experiment, instead.save, screen, overwrite=options.overwrite)
    return perform(experiment, options, screen, dry_run=instead.dry_run)
