"""The command `gdcli`: its subcommands, and `main`, where it begins and ends."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.main import get_command

from gdcli import __version__
from gdcli.cli.command import WIDEST, Command, Group
from gdcli.cli.compare import compare
from gdcli.cli.doctor import doctor
from gdcli.cli.environment import settle
from gdcli.cli.failure import report
from gdcli.cli.landscape import Landscapes
from gdcli.cli.listing import listing
from gdcli.cli.lr_range import LrRange
from gdcli.cli.merge import merge
from gdcli.cli.plot import plot
from gdcli.cli.report import report as report_page
from gdcli.cli.run import Run
from gdcli.cli.runs import runs
from gdcli.cli.show import show
from gdcli.cli.step import step
from gdcli.cli.sweep import sweep
from gdcli.cli.verify import verify
from gdcli.discovery import OPTIMIZERS, PROBLEMS, SCHEDULES

FRESH = {
    "landscape",
    "lr-range",
    "step",
    "verify",
}  # they compute and keep nothing: they begin again
COMPLETE = "_GDCLI_COMPLETE"  # set by the shell when it asks how a command could go on
ON_A_PROBLEM = ("run", "lr-range", "landscape")
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
        """Return the names of the commands, those on a problem first."""
        return sorted(super().list_commands(ctx), key=lambda name: name not in ON_A_PROBLEM)


app = typer.Typer(
    cls=Root,
    invoke_without_command=True,
    rich_markup_mode=None,
    epilog=EXAMPLES,
    context_settings={"max_content_width": WIDEST, "help_option_names": ["-h", "--help"]},
)
app.add_typer(
    typer.Typer(cls=Run, subcommand_metavar="PROBLEM [OPTIONS]"),
    name="run",
    help="Run a grid of experiments on a problem.",
)
app.add_typer(
    typer.Typer(cls=LrRange, subcommand_metavar="PROBLEM [OPTIONS]"),
    name="lr-range",
    help="Test which learning rates a problem takes.",
)
app.add_typer(
    typer.Typer(cls=Landscapes, subcommand_metavar="PROBLEM [OPTIONS]"),
    name="landscape",
    help="Draw the loss around the trials of a grid.",
)
app.command(cls=Command)(step)
app.command(cls=Command)(sweep)
app.command(cls=Command)(runs)
app.command(cls=Command)(show)
app.command(cls=Command)(plot)
app.command("report", cls=Command)(report_page)
app.command(cls=Command)(compare)
app.command(cls=Command)(verify)
app.command(cls=Command)(merge)
for _catalogue in (PROBLEMS, OPTIMIZERS, SCHEDULES):
    app.command(_catalogue.folder, cls=Command)(listing(_catalogue))
app.command(cls=Command)(doctor)


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
