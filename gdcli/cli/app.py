"""The command `gdcli`: its subcommands, and `main`, where it begins and ends.

How a command line is taken apart: Typer's commands and groups, in our own words.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from typing import Annotated, Any, ClassVar

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption
from typer.main import get_command, get_group

from gdcli import __version__
from gdcli.cli.failure import report, settle
from gdcli.errors import UserError
from gdcli.fields import show
from gdcli.stdout import join, kept_apart
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

    listed: ClassVar[str] = "Commands"  # the heading of its subcommands

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

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the subcommands, then the options."""
        commands = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        rows = [(name, c.get_short_help_str(WIDEST)) for name, c in commands.items() if c]
        _write_section(self.listed, rows, formatter)
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


# Each is imported only when it is asked for, by itself or by the help of all of them.
COMMANDS = {
    "run": "gdcli.cli.run:Run",
    "lr-range": "gdcli.cli.studies:LrRange",
    "landscape": "gdcli.cli.studies:Landscapes",
    "explore": "gdcli.cli.studies:Explorations",
    "gradcheck": "gdcli.cli.studies:GradientChecks",
    "step": "gdcli.cli.step:step",
    "sweep": "gdcli.cli.run:sweep",
    "runs": "gdcli.cli.listing:runs",
    "show": "gdcli.cli.show:show",
    "plot": "gdcli.cli.look:plot",
    "report": "gdcli.cli.look:report",
    "compare": "gdcli.cli.look:compare",
    "verify": "gdcli.cli.keep:verify",
    "merge": "gdcli.cli.keep:merge",
    "export": "gdcli.cli.keep:export",
    "problems": "gdcli.cli.listing:problems",
    "optimizers": "gdcli.cli.listing:optimizers",
    "schedules": "gdcli.cli.listing:schedules",
    "check": "gdcli.cli.extend:check",
    "new": "gdcli.cli.extend:new",
    "schema": "gdcli.cli.extend:schema",
    "doctor": "gdcli.cli.listing:doctor",
}
# They compute and keep nothing: they begin again.
FRESH = {
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

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of the commands."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command, or None where there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        found = getattr(import_module(module), name)
        if isinstance(found, type):
            about, usage = found.__doc__, "PROBLEM [OPTIONS]"
            return get_group(
                typer.Typer(cls=found, help=about, subcommand_metavar=usage, rich_markup_mode=None)
            )
        alone = typer.Typer(add_completion=False, rich_markup_mode=None)
        alone.command(cmd_name, cls=Command)(found)
        return get_command(alone)


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
    """Grids of gradient-descent experiments in one command, with curves anyone can reproduce."""
    if version:
        typer.echo(f"gdcli {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    if COMPLETE in os.environ:
        app(prog_name="gdcli")  # ends the program
    settle()
    given = [*(sys.argv[1:] if arguments is None else arguments)]
    try:
        with kept_apart():
            code = _invoke(given)
        sys.stdout.flush()
    except BaseException as error:  # noqa: BLE001 - every way to end has its line and its code
        verbose = not {"-v", "--verbose"}.isdisjoint(given)
        return report(error, verbose=verbose, resumes=FRESH.isdisjoint(given[:1]))
    return code


def _invoke(arguments: list[str]) -> int:
    command = get_command(app)
    plain = "--no-color" in arguments or os.environ.get("NO_COLOR")
    try:
        with command.make_context("gdcli", arguments, color=False if plain else None) as context:
            return command.invoke(context) or 0
    except typer.Exit as end:
        return end.exit_code
