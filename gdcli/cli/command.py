"""How a command line is taken apart: Typer's commands and groups, in our own words."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from gdcli.errors import UserError
from gdcli.fields import show
from gdcli.stdout import join
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
