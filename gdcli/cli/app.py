"""The command `gdcli`: its commands, their help, and `main`, where it begins and ends."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from importlib import import_module
from typing import Annotated, Any, ClassVar

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption
from typer.main import get_command

from gdcli import __version__
from gdcli.cli.failure import prepare_process, report
from gdcli.errors import UserError
from gdcli.fields import show
from gdcli.process import finish, join, kept_apart
from gdcli.words import command_meant

WIDEST = 100  # columns of the help, on a terminal that has as many


class Command(TyperCommand):
    """A command whose options are the text that was typed, each given once."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the options, to be read as text."""
        return _as_typed(super().get_params(ctx))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Raise UserError for an option given twice, of which Typer would take the last."""
        _, _, order = self.make_parser(ctx).parse_args([*args])
        for option in (param for param in order if isinstance(param, TyperOption)):
            if order.count(option) > 1 and not option.multiple and not ctx.resilient_parsing:
                raise UserError(option.opts[-1], "it is given twice", "give it once")
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return what the usage line shows; Typer writes {RUN} for RUN."""
        return [
            piece.replace("{", "").replace("}", "") for piece in super().collect_usage_pieces(ctx)
        ]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the options of the help, heading by heading."""
        _write_options(self.get_params(ctx), ctx, formatter)


class Group(TyperGroup):
    """A command that has subcommands."""

    listed: ClassVar[str | None] = None  # a heading over those of its subcommands

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the options, to be read as text."""
        return _as_typed(super().get_params(ctx))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Raise UserError when there is no subcommand, and nothing to do without one."""
        if not (args or self.invoke_without_command or ctx.resilient_parsing):
            what = f"{self.subcommand_metavar.partition(' ')[0]} is missing"
            raise UserError(ctx.command_path, what, f"see: {ctx.command_path} --help")
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str, Any, list[str]]:
        """Return the subcommand and its arguments; raises UserError when there is none."""
        name, *rest = args
        command = self.get_command(ctx, name)
        if command is None:
            hint = command_meant(name, self.list_commands(ctx)) or f"see: {ctx.command_path} --help"
            raise UserError(ctx.command_path, f"there is no command {show(name)}", hint)
        return name, command, rest

    def groups(self, ctx: Any) -> dict[str, list[str]]:
        """Return the names of the subcommands under each heading of the help."""
        return {"Commands": self.list_commands(ctx)}

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the subcommands, heading by heading, then the options."""
        groups = self.groups(ctx)
        width = max(len(name) for names in groups.values() for name in names)
        with formatter.section(self.listed) if self.listed else nullcontext():
            for heading, names in groups.items():
                commands = {name: self.get_command(ctx, name) for name in names}
                rows = [(n.ljust(width), c.short_help or "") for n, c in commands.items() if c]
                _write_section(heading, rows, formatter)
        _write_options(self.get_params(ctx), ctx, formatter)


def _as_typed(params: list[Any]) -> list[Any]:
    """Let options keep the text that was typed.

    Typer would load pydantic, which takes as long as all of gdcli, to turn text into text.
    """
    for param in params:
        param.process_value = partial(_value, param)
    return params


def _value(param: Any, ctx: Any, value: Any) -> Any:
    if param.required and param.value_is_missing(value):
        fix = f"see: {ctx.command_path} --help"
        name = param.opts[-1] if isinstance(param, TyperOption) else param.display_name_raw
        raise UserError(ctx.command_path, f"{name} is missing", fix)
    if not param.callback:
        return value
    if value:
        join()  # a help is a result, that of the user's own code, too
    return param.callback(ctx, param, value)


def _write_options(params: list[Any], ctx: Any, formatter: Any) -> None:
    """Write plain lines: Typer's panels are slower, narrower, and in the way of grep."""
    arguments = [p for p in params if isinstance(p, TyperArgument)]
    _write_section("Arguments", [(p.display_name_raw, p.help or "") for p in arguments], formatter)
    options = [p for p in params if isinstance(p, TyperOption)]
    *_, last = dict.fromkeys(
        ["Options", *(p.rich_help_panel for p in options if p.rich_help_panel)]
    )
    panels: dict[str, list[tuple[str, str]]] = {}
    for option in options:
        if record := option.get_help_record(ctx):
            panels.setdefault(option.rich_help_panel or last, []).append(record)
    for panel, rows in panels.items():
        _write_section(panel, rows, formatter)


def _write_section(heading: str, rows: list[tuple[str, str]], formatter: Any) -> None:
    if rows:
        # Off a terminal, typer.echo takes the styles out again.
        with formatter.section(typer.style(heading, bold=True)):
            formatter.write_dl([(typer.style(name, fg="cyan"), text) for name, text in rows])


# The commands as the help groups them: where each is, imported only when it is asked for, and the
# first line of its own help.
GROUPS = {
    "Run": {
        "run": ("run:run", "Train a problem with every combination of the settings given."),
        "sweep": ("run:sweep", "Run the experiments of TOML files, one after another."),
    },
    "Look": {
        "runs": ("listing:runs", "List the runs in a folder, and whether each is complete."),
        "show": ("show:show", "Print the results of a run again: its tables and its curves."),
        "plot": ("look:plot", "Draw the results of a run, in the terminal or as a picture file."),
        "report": ("look:report", "Write a run as one interactive page that works offline."),
        "compare": ("look:compare", "Compare runs: their settings, results and curves."),
    },
    "Learn": {
        "problems": (
            "listing:problems",
            "List the problems, or describe one with all of its options.",
        ),
        "optimizers": (
            "listing:optimizers",
            "List the optimizers, or describe one with all of its options.",
        ),
        "schedules": (
            "listing:schedules",
            "List the schedules, or describe one with all of its options.",
        ),
        "measures": (
            "listing:measures",
            "List the measures, or describe one with its columns.",
        ),
        "step": ("step:step", "Take steps of gradient descent on a formula, and print each."),
        "lr-range": ("studies:lr_range", "Find a good learning rate for each setting of a grid."),
        "landscape": ("studies:landscape", "Draw the loss around the paths that training takes."),
        "explore": (
            "studies:explore",
            "Find the training examples that are easy, hard or mislabelled.",
        ),
        "gradcheck": (
            "studies:gradcheck",
            "Compare a problem's gradients with finite differences.",
        ),
    },
    "Keep": {
        "verify": (
            "keep:verify",
            "Check the files of a run, run it again, and compare the results.",
        ),
        "merge": (
            "keep:merge",
            "Join the parts of a run that were computed apart into one folder.",
        ),
        "export": ("keep:export", "Write a run, or the weights of a trial, for other tools."),
    },
    "Extend": {
        "new": ("extend:new", "Write a starter file, and its test, into this directory."),
        "check": (
            "extend:check",
            "Check a problem, optimizer, wrapper, schedule or measure.",
        ),
        "schema": ("extend:schema", "Write the JSON Schema of experiment files, for editors."),
        "doctor": (
            "listing:doctor",
            "Print the versions and devices of this machine, for a bug report.",
        ),
    },
}
COMMANDS = {name: entry for commands in GROUPS.values() for name, entry in commands.items()}
# What the help and the results are about, before they use the words.
WORDS = {
    "problem": "what is trained: a function, a linear model or a network",
    "method": "the examples that each step uses: gd, all of them; sgd, one; minibatch, some",
    "optimizer": "how a gradient becomes a step; vanilla is plain gradient descent",
    "setting": "a method, an optimizer and all else that varies, but for learning rate and seed",
    "trial": "one training: a setting with one learning rate and one seed",
    "run": "all trials of one command, and the folder with their curves and results",
}
# They compute and keep nothing: an interrupted one begins again.
NOT_RESUMABLE = {
    "check",
    "explore",
    "export",
    "gradcheck",
    "landscape",
    "lr-range",
    "new",
    "step",
    "verify",
}
COMPLETE = "_GDCLI_COMPLETE"  # set by the shell when it asks how a command could go on
# The character after the quotes keeps the lines apart.
EXAMPLES = """\b
Examples:
  gdcli run quadratic --lr 0.01,0.1,1
  gdcli run mlp --method gd,minibatch --optimizer vanilla,adam --lr log:1e-3:1:4 --seed 0:4
  gdcli sweep experiments/quickstart-linear.toml
"""


class Root(Group):
    """`gdcli` itself."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write what the words mean, and then the commands and the options."""
        _write_section("Words", list(WORDS.items()), formatter)
        super().format_options(ctx, formatter)

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of the commands."""
        return list(COMMANDS)

    def groups(self, ctx: Any) -> dict[str, list[str]]:
        """Return the names of the commands under the headings of the help."""
        return {heading: list(commands) for heading, commands in GROUPS.items()}

    def get_command(self, ctx: Any, cmd_name: str) -> Command | None:
        """Return a command as the help lists it; None where there is none of that name."""
        return Command(cmd_name, short_help=COMMANDS[cmd_name][1]) if cmd_name in COMMANDS else None

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str, Any, list[str]]:
        """Return the command, imported, and its arguments; raises UserError when there is none."""
        name, _, rest = super().resolve_command(ctx, args)
        module, _, function = COMMANDS[name][0].partition(":")
        command = getattr(import_module(f"gdcli.cli.{module}"), function)
        if not isinstance(command, Group):
            alone = typer.Typer(add_completion=False, rich_markup_mode=None)
            alone.command(name, cls=Command)(command)
            command = get_command(alone)
        return name, command, rest


app = typer.Typer(
    cls=Root,
    invoke_without_command=True,
    rich_markup_mode=None,
    epilog=EXAMPLES,
    context_settings={"max_content_width": WIDEST, "help_option_names": ["-h", "--help"]},
)


@app.callback()
def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Run many gradient-descent trainings at once, and see which learning rates work, and why."""
    if version:
        typer.echo(f"gdcli {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    if COMPLETE in os.environ:
        app(prog_name="gdcli")  # ends the program
    prepare_process()
    given = _joined([*(sys.argv[1:] if arguments is None else arguments)])
    try:
        with kept_apart():
            code = _invoke(given)
        sys.stdout.flush()
    except BaseException as error:  # noqa: BLE001 - every way to end has its line and its code
        verbose = not {"-v", "--verbose"}.isdisjoint(given)
        return report(error, verbose=verbose, resumes=NOT_RESUMABLE.isdisjoint(given[:1]))
    return code


def _joined(arguments: list[str]) -> list[str]:
    """Return arguments in which --for PATTERNS SETTING=VALUE has one value, as in quotes."""
    for place, (option, patterns, value) in enumerate(
        zip(arguments, arguments[1:], arguments[2:], strict=False)
    ):
        apart = "=" not in patterns and not value.startswith("-") and "=" in value
        if option == "--for" and apart:
            return [*arguments[: place + 1], f"{patterns} {value}", *arguments[place + 3 :]]
    return arguments


def only_command() -> int:
    """Run the command line as all that this process does, and return its exit code."""
    code = main()
    finish()
    return code


def _invoke(arguments: list[str]) -> int:
    command = get_command(app)
    plain = "--no-color" in arguments or os.environ.get("NO_COLOR")
    try:
        with command.make_context("gdcli", arguments, color=False if plain else None) as context:
            return command.invoke(context) or 0
    except typer.Exit as end:
        return end.exit_code
