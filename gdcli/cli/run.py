"""`gdcli run PROBLEM`: one experiment, said on the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from inspect import cleandoc
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.main import get_command

from gdcli.cli.assignments import assignments
from gdcli.cli.command import Command, Group
from gdcli.cli.mistakes import every
from gdcli.cli.options import RUN, given_of, read, takes
from gdcli.cli.perform import perform
from gdcli.cli.run_name import checked_name
from gdcli.cli.save import save
from gdcli.cli.screen import Screen
from gdcli.discovery import PROBLEMS
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


class Problems(Group):
    """The subcommands of `gdcli run`: a problem is imported only when it is asked for."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the arguments as the help shows them."""
        return [self.subcommand_metavar]

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all problems."""
        return PROBLEMS.names()

    def get_command(self, ctx: Any, cmd_name: str) -> Command:
        """Return a subcommand as the help lists it: its name and summary."""
        return Command(cmd_name, short_help=PROBLEMS.summary(cmd_name))

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str, Any, list[str]]:
        """Return the subcommand with all of its options, and its arguments."""
        name, *rest = args
        return name, problem_command(name, PROBLEMS.find(name, WHERE)), rest


def problem_command(name: str, problem: type[Problem]) -> Any:
    """Return the subcommand of a problem, whose options are the problem's and the grid's."""
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
    def command(
        *,
        vary: Annotated[
            list[str] | None,
            typer.Option(
                "--vary",
                metavar="NAME=VALUES",
                help="one more axis: an option of the problem, or momentum.beta; may be repeated",
                rich_help_panel="Grid",
            ),
        ] = None,
        zip_: Annotated[
            list[str] | None,
            typer.Option(
                "--zip",
                metavar="NAME,NAME",
                help="axes that go in step instead of crosswise; may be repeated",
                rich_help_panel="Grid",
            ),
        ] = None,
        **given: object,
    ) -> int:
        return _run(name, problem, given, vary or [], zip_ or [])

    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    about = f"{PROBLEMS.summary(name)}.\n\n{cleandoc(problem.__doc__ or '')}"

    app.command(name, cls=Command, help=about)(command)
    return get_command(app)


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
            where=_where,
        )
    )


def _where(name: str) -> str:
    """Return how an error names "lr", "problem dim", "vary condition", "problem" or "grid"."""
    if name in ("problem", "grid"):
        return {"problem": WHERE, "grid": "the grid"}[name]
    return f"--{name.removeprefix('problem ').replace('_', '-')}"
