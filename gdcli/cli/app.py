"""The command `gdcli`: its subcommands, and `main`, where it begins and ends."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.main import get_command, get_group

from gdcli import __version__
from gdcli.cli.command import WIDEST, Command, Group
from gdcli.cli.environment import settle
from gdcli.cli.failure import report
from gdcli.stdout import kept_apart

# Each is imported only when it is asked for, by itself or by the help of all of them.
COMMANDS = {
    "run": "gdcli.cli.run:Run",
    "lr-range": "gdcli.cli.lr_range:LrRange",
    "landscape": "gdcli.cli.landscape:Landscapes",
    "explore": "gdcli.cli.explore:Explorations",
    "gradcheck": "gdcli.cli.gradcheck:GradientChecks",
    "step": "gdcli.cli.step:step",
    "sweep": "gdcli.cli.sweep:sweep",
    "runs": "gdcli.cli.runs:runs",
    "show": "gdcli.cli.show:show",
    "plot": "gdcli.cli.plot:plot",
    "report": "gdcli.cli.report:report",
    "compare": "gdcli.cli.compare:compare",
    "verify": "gdcli.cli.verify:verify",
    "merge": "gdcli.cli.merge:merge",
    "export": "gdcli.cli.export:export",
    "problems": "gdcli.cli.listing:problems",
    "optimizers": "gdcli.cli.listing:optimizers",
    "schedules": "gdcli.cli.listing:schedules",
    "check": "gdcli.cli.check:check",
    "new": "gdcli.cli.new:new",
    "schema": "gdcli.cli.schema:schema",
    "doctor": "gdcli.cli.doctor:doctor",
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
