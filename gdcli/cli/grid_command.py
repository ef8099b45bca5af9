"""Commands on a grid of one problem: a subcommand for each problem."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from inspect import cleandoc
from typing import Annotated, Any, ClassVar

import typer
from typer.main import get_command

from gdcli.cli.assignments import assignments
from gdcli.cli.command import Command, Group
from gdcli.cli.options import given_of
from gdcli.discovery import PROBLEMS
from gdcli.experiment import Experiment, Given, read
from gdcli.grid import Axes, Where
from gdcli.problem import Problem
from gdcli.training import Training

Vary = Annotated[
    list[str] | None,
    typer.Option(
        "--vary",
        metavar="NAME=VALUES",
        help="one more axis: an option of the problem, or momentum.beta; may be repeated",
        rich_help_panel="Grid",
    ),
]
Zip = Annotated[
    list[str] | None,
    typer.Option(
        "--zip",
        metavar="NAME,NAME",
        help="axes that go in step instead of crosswise; may be repeated",
        rich_help_panel="Grid",
    ),
]


class Problems(Group):
    """Subcommands named after the problems: one is imported only when it is asked for."""

    where: ClassVar[str]  # the command, as an error names it

    @staticmethod
    @abstractmethod
    def function(name: str, problem: type[Problem]) -> Callable[..., int]:
        """Return what a subcommand does, a function that takes the options."""

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
        problem = PROBLEMS.find(name, self.where)
        app = typer.Typer(add_completion=False, rich_markup_mode=None)
        about = f"{PROBLEMS.summary(name)}.\n\n{cleandoc(problem.__doc__ or '')}"
        app.command(name, cls=Command, help=about)(self.function(name, problem))
        return name, get_command(app), rest

    @classmethod
    def experiment(
        cls,
        name: str,
        problem: type[Problem],
        given: Mapping[str, Any],
        vary: list[str] | None,
        zips: list[str] | None,
    ) -> Experiment:
        """Return the experiment that the options say; raises UserError."""
        return read(
            Given(
                problem=name,
                options=given_of(given, problem),
                grid=given_of(given, Axes, Training),
                vary=assignments(vary or [], "--vary"),
                zip=tuple(zips or []),
                where=where_of(cls.where),
            )
        )


def where_of(command: str) -> Where:
    """Return how an error names "lr", "problem dim", "vary condition", "problem" or "grid"."""

    def where(name: str) -> str:
        if name in ("problem", "grid"):
            return {"problem": command, "grid": "the grid"}[name]
        return f"--{name.removeprefix('problem ').replace('_', '-')}"

    return where
