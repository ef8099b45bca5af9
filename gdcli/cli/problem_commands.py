"""Commands on a problem: `run`, `lr-range`, `landscape`, `explore` and `gradcheck`.

Each has a subcommand for every problem, with the problem's options and those of the grid; some
take an experiment file in place of a problem, too.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, NoReturn, TypeAlias, TypeVar

import typer
from typer.main import get_command

from gdcli.catalog.catalog import PROBLEMS
from gdcli.catalog.classes import shown
from gdcli.catalog.user_code import absolute, first_line, is_own, name_in, source_of
from gdcli.cli.app import Command, Group
from gdcli.cli.options import GRID, PROBLEM, assignments, collect_errors, given_of, parameters
from gdcli.errors import UserError
from gdcli.experiment.experiment import Experiment, Given, read
from gdcli.experiment.grid import Axes, Grid, Where
from gdcli.experiment.toml import load
from gdcli.experiment.training import Training
from gdcli.fields import options_of, show
from gdcli.problem import Problem
from gdcli.report.console import literal

T = TypeVar("T", Axes, Training)
ReadExperiment: TypeAlias = Callable[[], Experiment]
Work: TypeAlias = Callable[..., int]
VARY = Annotated[
    list[str] | None,
    typer.Option(
        "--vary",
        metavar="NAME=VALUES",
        help="try several values of another option: of the problem (condition=1,100) or of an "
        "optimizer (momentum.beta=0.5,0.9); put a value that holds a comma in quotes or brackets; "
        "may be repeated",
        rich_help_panel=GRID,
    ),
]
ZIP = Annotated[
    list[str] | None,
    typer.Option(
        "--zip",
        metavar="NAME,NAME",
        help="pair the values of these options, first with first, instead of trying every "
        "combination; may be repeated",
        rich_help_panel=GRID,
    ),
]
Set: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUES",
        help="use these values instead of those in the file; may be repeated",
        rich_help_panel=GRID,
    ),
]
OF_ALL = ("vary", "zip", "help")
# How the help groups problems: what a family is in plain words, and its classes in gdcli.problem.
FAMILIES = {
    "Functions (loss and gradient are formulas)": {"Analytic", "Surface"},
    "Linear models (fit a table of numbers)": {"LinearModel"},
    "Networks (fit tables, images or text)": {"Network"},
    "Networks with a loss of their own (trained one at a time)": {"StatefulNetwork"},
    "Other losses (differentiated by PyTorch)": {"Problem"},
}
OF_EXAMPLES = {"LinearModel", "Network"}  # those whose loss is a mean over examples
PLUGINS = "From plugins (installed packages)"
YOURS = "Your own, in place of a problem"


@dataclass(frozen=True)
class problem_command:  # noqa: N801 -- a decorator
    """Make a command of a function that works on the experiment of a problem.

    @problem_command({"View": (View,), GRID: (Axes, Training), RUN: (Compute, Screen)})
    def landscape(read_experiment, given, output): ...

    The function is given what reads the experiment, the options as typed by field, and its own
    parameters, which are options of the command, too. Its docstring is the help.
    """

    panels: Mapping[str, tuple[type, ...]]  # the headings of the help after the problem's own
    of_grid: tuple[type, ...] = (Axes, Training)  # those of their classes that the grid is read of
    fixed: tuple[str, ...] = ()  # options of the grid that the command sets itself
    replaced: tuple[str, ...] = ()  # those in whose place it has options of its own
    defaults: Mapping[str, str] = field(default_factory=dict)  # of options, instead of their own
    settings: Mapping[str, object] = field(default_factory=dict)  # of the grid, never typed
    zips: bool = True  # whether it has --zip
    takes_files: bool = False  # whether an experiment file may stand in place of the problem
    of_examples: bool = False  # whether the help lists only problems with a loss for each example

    def __call__(self, work: Work) -> ProblemGroup:
        """Return the command."""
        return ProblemGroup(work, self)


class ProblemGroup(Group):
    """A command whose subcommands are the problems: one is imported only when it is asked for."""

    listed: ClassVar[str] = "Problems"

    def __init__(self, work: Work, asks: problem_command) -> None:
        """Name the command after its function."""
        name = work.__name__.replace("_", "-")
        super().__init__(
            name=name,
            help=inspect.cleandoc(work.__doc__ or ""),
            subcommand_metavar="PROBLEM [OPTIONS]",
            rich_markup_mode=None,
        )
        self.where = f"gdcli {name}"  # how an error names the command
        self.work, self.asks = work, asks

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the arguments as the help shows them."""
        return [self.subcommand_metavar]

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of the problems that the command takes."""
        return sorted(name for names in self.groups(ctx).values() for name in names)

    def get_command(self, ctx: Any, cmd_name: str) -> Command:
        """Return a problem as the help lists it: its name and summary."""
        return Command(cmd_name, short_help=literal(PROBLEMS.summary(cmd_name)))

    def groups(self, ctx: Any) -> dict[str, list[str]]:
        """Return the names of the problems of each family, without importing them."""
        found: dict[str, list[str]] = {heading: [] for heading in (*FAMILIES, PLUGINS)}
        for name in PROBLEMS.names():
            bases = PROBLEMS.bases(name)
            family = next((family for family, of in FAMILIES.items() if bases & of), PLUGINS)
            found[family].append(name)
        if self.asks.of_examples:  # of a plugin only its import would tell
            for family in (family for family, of in FAMILIES.items() if not of & OF_EXAMPLES):
                del found[family]
        return found

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Say that a problem may also be a file, and where its options are."""
        own = [
            ("FILE.py", "a problem that you wrote; to begin one: gdcli new problem NAME"),
            ("PACKAGE.MODULE:CLASS", "a problem to import"),
        ]
        files = [("FILE.toml", "an experiment file: its problem, grid and budget")]
        with formatter.section(YOURS):
            formatter.write_dl([*own, *(files if self.asks.takes_files else [])])
        formatter.write_paragraph()
        formatter.write_text(f"To see the options of a problem: {self.where} PROBLEM --help")

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str, Any, list[str]]:
        """Return the subcommand with all of its options, and its arguments."""
        name, *rest = args
        if ctx.resilient_parsing and is_own(name):
            return name, None, rest  # a shell that completes a line runs no file of the user's
        if name.lower().endswith(".toml"):
            return name, self._of_file(name), rest
        problem = PROBLEMS.find(absolute(name), self.where)
        self._refuse_taken(problem)
        return name, self._of_problem(name, problem), rest

    def _of_problem(self, name: str, problem: type[Problem]) -> Any:
        """Return the subcommand of a problem: its options are the problem's and the command's."""
        asks = self.asks
        defaults: dict[str, object] = {
            "lr": f"the optimizer's own, or {problem.default_lr:g} if it has none",
            "epochs": problem.default_epochs,
            **asks.defaults,
        }
        typed = [
            *parameters(
                {PROBLEM: (problem,), **asks.panels},
                {name: value for name, value in defaults.items() if name not in asks.replaced},
                asks.fixed,
            ),
            *([_parameter("vary", VARY)] if Axes in asks.of_grid else []),
            *([_parameter("zip_", ZIP)] if asks.zips and Axes in asks.of_grid else []),
        ]
        summary = first_line(problem) if is_own(name) else PROBLEMS.summary(name)
        about = f"{summary}.\n\n{inspect.cleandoc(problem.__doc__ or '')}"
        return self._command(name, about, typed, partial(self._experiment, name, problem))

    def _of_file(self, file: str) -> Any:
        """Return the subcommand of an experiment file: the grid is the file's."""
        asks = self.asks
        if not asks.takes_files:
            fix = "give a problem and its options; gdcli sweep runs such a file"
            raise UserError(
                self.where,
                f"{show(file)} is an experiment file, which {self.where} does not take",
                fix,
            )
        panels = {panel: classes for panel, classes in asks.panels.items() if panel != GRID}
        unread = ", ".join((*asks.fixed, *asks.replaced))
        about = f"An experiment file: its problem, grid and budget.\n\nNot read from it: {unread}."
        typed = [*parameters(panels, {}, ()), _parameter("set_", Set)]
        return self._command(file, about, typed, partial(self._experiment_in, file))

    def _command(
        self,
        name: str,
        about: str,
        typed: list[inspect.Parameter],
        experiment: Callable[[Mapping[str, Any]], Experiment],
    ) -> Any:
        """Return a subcommand with the options that are typed and the function's own."""
        first_two = 2  # which the function is given
        own = [*inspect.signature(self.work, eval_str=True).parameters.values()][first_two:]

        def command(**given: Any) -> int:
            return self.work(
                partial(experiment, given), given, **{p.name: given[p.name] for p in own}
            )

        # Typer reads the parameters of a function from here.
        command.__signature__ = inspect.Signature([*typed, *own])  # type: ignore[attr-defined]
        app = typer.Typer(add_completion=False, rich_markup_mode=None)
        # Whatever characters the user's own text is written with.
        lines = "\n".join(map(literal, about.splitlines()))
        app.command(literal(name), cls=Command, help=lines)(command)
        return get_command(app)

    def _experiment(
        self, name: str, problem: type[Problem], given: Mapping[str, Any]
    ) -> Experiment:
        """Return the experiment that the options say; raises UserError."""
        asks = self.asks
        known = {name for cls in asks.of_grid for name in options_of(cls)}
        defaults = {name: value for name, value in asks.defaults.items() if name in known}
        grid = {**defaults, **given_of(given, *asks.of_grid), **asks.settings}
        vary = assignments(given.get("vary") or [], "--vary")
        if own := next((key for key in vary if key in (*asks.fixed, *asks.replaced)), None):
            fix = f"give --{own}" if own in asks.replaced else "leave it out"
            raise UserError("--vary", f"{self.where} does not vary {own}", fix)
        return read(
            Given(
                problem=name,
                options=given_of(given, problem),
                grid={
                    option: value for option, value in grid.items() if option not in asks.replaced
                },
                vary=vary,
                zip=tuple(given.get("zip_") or []),
                where=where_of(self.where),
            )
        )

    def _experiment_in(self, file: str, given: Mapping[str, Any]) -> Experiment:
        """Return a file's experiment, with the defaults of what the command itself sets.

        Raises UserErrors that name the lines of mistakes, and what --set sets in vain.
        """
        refused = (*self.asks.fixed, *self.asks.replaced)
        values = assignments(given["set_"] or [], "--set")
        vain = {key: name for key in values if (name := _option_of(key)) in refused}
        with collect_errors() as collect:
            for key, name in vain.items():
                collect(self._refuse_set, key, name)
            used = {key: value for key, value in values.items() if key not in vain}
            experiment = collect(load, Path(file), used)
        return replace(experiment, grid=_with_defaults(experiment.grid, refused))

    def _refuse_set(self, key: str, name: str) -> NoReturn:
        fix = f"give --{name}" if name in self.asks.replaced else "leave it out"
        raise UserError(f"--set {key}", f"{self.where} takes no {name} from a file", fix)

    def _refuse_taken(self, problem: type[Problem]) -> None:
        """Raise UserError where a problem of the user's own has an option that the command has."""
        source = source_of(problem)
        classes = [cls for classes in self.asks.panels.values() for cls in classes]
        taken = {*OF_ALL, *(name for cls in classes for name in options_of(cls))}
        both = [name for name in options_of(problem) if name in taken]
        if source and both:
            what = f"its option --{both[0]} is also an option of {self.where}"
            raise UserError(shown(source.file), what, "give the field another name")


def _parameter(name: str, annotation: Any) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation
    )


def where_of(command: str) -> Where:
    """Return how an error names "lr", "problem dim", "vary condition", "problem" or "grid"."""

    def where(name: str) -> str:
        if name in ("problem", "grid"):
            return {"problem": command, "grid": "the grid"}[name]
        return f"--{name.removeprefix('problem ').replace('_', '-')}"

    return where


def _option_of(key: str) -> str:
    """Return the option of the grid that a key of --set means."""
    return key.replace("_", "-").removeprefix("grid.")


def _with_defaults(grid: Grid, names: tuple[str, ...]) -> Grid:
    """Return a grid with the defaults of these options, which are not axes of it any more."""
    axes, training = _reset(grid.axes, names), _reset(grid.training, names)
    gone = {*map(name_in, grid.axes.schedule)} - {*map(name_in, axes.schedule)}
    vary = {
        name: of
        for name, of in grid.vary.items()
        if name.rpartition(".")[0] not in gone and name not in names
    }
    left = {option.field for option in options_of(Axes).values() if option.name not in names}
    zips = [[name for name in zipped if name in left or name in vary] for zipped in grid.zip]
    together = [zipped for zipped in zips if len(zipped) > 1]
    return replace(grid, axes=axes, training=training, vary=vary, zip=together)


def _reset(part: T, names: tuple[str, ...]) -> T:
    """Return axes or training settings with the defaults of the options that are named."""
    options = options_of(type(part)).values()
    return replace(part, **{o.field: o.default for o in options if o.name in names})
