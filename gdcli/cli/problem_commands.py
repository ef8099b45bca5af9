"""Commands on a grid of one problem: a subcommand for each problem.

An experiment file in the place of a problem and the options of its grid.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import partial
from inspect import cleandoc
from pathlib import Path
from typing import Annotated, Any, ClassVar, NoReturn, TypeVar

import typer
from typer.main import get_command

from gdcli.catalog.catalog import PROBLEMS
from gdcli.catalog.user_code import absolute, first_line, is_own, name_in, shown, source_of
from gdcli.cli.app import Command, Group
from gdcli.cli.options import assignments, every, given_of
from gdcli.errors import UserError
from gdcli.experiment.experiment import Experiment, Given, read
from gdcli.experiment.grid import Axes, Grid, Training, Where
from gdcli.experiment.toml import load
from gdcli.fields import options_of, show
from gdcli.problem import Problem
from gdcli.report.console import literal

T = TypeVar("T", Axes, Training)
ENDING = ".toml"
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUES",
        help="a value instead of the file's own; may be repeated",
    ),
]


def is_experiment(name: str) -> bool:
    """Return whether what stands where a problem is named is an experiment file."""
    return name.lower().endswith(ENDING)


def from_file(
    file: str,
    settings: list[str] | None,
    command: str,
    decided: Collection[str],
    own: Collection[str] = (),
) -> Experiment:
    """Return a file's experiment, with the defaults in place of what a command itself decides.

    decided: settings that the command makes itself; own: those of them that it has an option for.
    Raises UserErrors that name the lines of mistakes, and what is set in vain.
    """
    values = assignments(settings or [], "--set")
    vain = {key: name for key in values if (name := _name(key)) in decided}
    read = {key: value for key, value in values.items() if key not in vain}
    refusals = (partial(_refuse, key, name, command, own) for key, name in vain.items())
    experiment: Experiment
    *_, experiment = every([*refusals, partial(load, Path(file), read)])
    return replace(experiment, grid=_without(experiment.grid, decided))


def _name(key: str) -> str:
    """Return the option of the grid that a key of --set means."""
    return key.replace("_", "-").removeprefix("grid.")


def _refuse(key: str, name: str, command: str, own: Collection[str]) -> NoReturn:
    fix = f"give --{name}" if name in own else "leave it out"
    raise UserError(f"--set {key}", f"{command} takes no {name} from a file", fix)


def _without(grid: Grid, names: Collection[str]) -> Grid:
    """Return a grid with the defaults of these settings, which are axes of it no more."""
    axes, training = _defaults(grid.axes, names), _defaults(grid.training, names)
    gone = {*map(name_in, grid.axes.schedule)} - {*map(name_in, axes.schedule)}
    vary = {name: of for name, of in grid.vary.items() if name.rpartition(".")[0] not in gone}
    left = {option.field for option in options_of(Axes).values() if option.name not in names}
    zips = [[name for name in zipped if name in left or name in vary] for zipped in grid.zip]
    together = [zipped for zipped in zips if len(zipped) > 1]
    return replace(grid, axes=axes, training=training, vary=vary, zip=together)


def _defaults(part: T, names: Collection[str]) -> T:
    """Return axes or training settings with the defaults of those that are named."""
    options = options_of(type(part)).values()
    return replace(part, **{o.field: o.default for o in options if o.name in names})


Vary = Annotated[
    list[str] | None,
    typer.Option(
        "--vary",
        metavar="NAME=VALUES",
        help="one more axis: an option of the problem, or momentum.beta; a comma in brackets or "
        "quotes belongs to a value; may be repeated",
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


OWN_PROBLEM = "a problem of your own; see: gdcli new problem NAME"
FILE = "an experiment file: its problem, grid and budget"
OF_ALL = ("vary", "zip", "help")


class Problems(Group):
    """Subcommands named after the problems: one is imported only when it is asked for."""

    listed: ClassVar[str] = "Problems"
    where: ClassVar[str]  # the command, as an error names it
    beside: ClassVar[tuple[type, ...]]  # what has options besides the problem
    decided: ClassVar[tuple[str, ...]] = ()  # the options of a grid that the command has not
    own: ClassVar[tuple[str, ...]] = ()  # those in whose place it has options of its own

    @staticmethod
    @abstractmethod
    def function(name: str, problem: type[Problem]) -> Callable[..., int]:
        """Return what a subcommand does, a function that takes the options."""

    def of_file(self, file: str) -> Callable[..., int] | None:
        """Return what the command does with an experiment file; None: it takes none."""
        return None

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the arguments as the help shows them."""
        return [self.subcommand_metavar]

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all problems."""
        return PROBLEMS.names()

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Say that a problem may also be a file."""
        with formatter.section("Your own"):
            own = [("FILE.py", OWN_PROBLEM), ("PACKAGE.MODULE:CLASS", "one to be imported")]
            files = [("FILE.toml", FILE)] if self.of_file("") else []
            formatter.write_dl([*own, *files])

    def get_command(self, ctx: Any, cmd_name: str) -> Command:
        """Return a subcommand as the help lists it: its name and summary."""
        return Command(cmd_name, short_help=literal(PROBLEMS.summary(cmd_name)))

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str, Any, list[str]]:
        """Return the subcommand with all of its options, and its arguments."""
        name, *rest = args
        if ctx.resilient_parsing and is_own(name):
            return name, None, rest  # a shell that completes a line runs no file of the user's
        if is_experiment(name):
            return name, _command(name, self._of_file(name), self._about_file()), rest
        problem = PROBLEMS.find(absolute(name), self.where)
        _refuse_taken(problem, self.beside, self.where)
        return name, _command(name, self.function(name, problem), _about(name, problem)), rest

    def _of_file(self, file: str) -> Callable[..., int]:
        function = self.of_file(file)
        if function is None:
            fix = "give a problem and its options; gdcli sweep runs such a file"
            raise UserError(self.where, f"it takes no experiment file, as {show(file)} is", fix)
        return function

    def _about_file(self) -> str:
        unread = ", ".join((*self.decided, *self.own))
        return f"{FILE.capitalize()}.\n\nNot read from it: {unread}."

    @classmethod
    def experiment_in(cls, file: str, settings: list[str] | None) -> Experiment:
        """Return the experiment of a file, without what the command decides; raises UserError."""
        return from_file(file, settings, cls.where, (*cls.decided, *cls.own), cls.own)

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
        grid = given_of(given, Axes, Training)
        return read(
            Given(
                problem=name,
                options=given_of(given, problem),
                grid={option: value for option, value in grid.items() if option not in cls.own},
                vary=assignments(vary or [], "--vary"),
                zip=tuple(zips or []),
                where=where_of(cls.where),
            )
        )


def _command(name: str, function: Callable[..., int], about: str) -> Any:
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command(literal(name), cls=Command, help=about)(function)
    return get_command(app)


def _about(reference: str, problem: type[Problem]) -> str:
    """Return what the help says of a problem, whatever characters it is written with."""
    summary = first_line(problem) if is_own(reference) else PROBLEMS.summary(reference)
    text = f"{summary}.\n\n{cleandoc(problem.__doc__ or '')}"
    return "\n".join(map(literal, text.splitlines()))


def _refuse_taken(problem: type[Problem], others: tuple[type, ...], command: str) -> None:
    """Raise UserError where a problem of the user's own has an option that the command has."""
    source = source_of(problem)
    taken = {*OF_ALL, *(name for cls in others for name in options_of(cls))}
    both = [name for name in options_of(problem) if name in taken]
    if source and both:
        what = f"its option --{both[0]} is one of {command} itself"
        raise UserError(shown(source.file), what, "give the field another name")


def where_of(command: str) -> Where:
    """Return how an error names "lr", "problem dim", "vary condition", "problem" or "grid"."""

    def where(name: str) -> str:
        if name in ("problem", "grid"):
            return {"problem": command, "grid": "the grid"}[name]
        return f"--{name.removeprefix('problem ').replace('_', '-')}"

    return where
