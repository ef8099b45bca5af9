"""The fields of a dataclass as the options of a command, and back."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from gdcli.cli.completion import completion
from gdcli.cli.mistakes import every
from gdcli.experiment.axis import one, text, texts
from gdcli.fields import Option, options_of
from gdcli.report.console import literal

T = TypeVar("T")
Function = TypeVar("Function", bound=Callable[..., Any])
METAVARS = {int: "INTEGER", float: "NUMBER", str: "TEXT", Path: "PATH"}
SHORT = {"output": "-o", "dry-run": "-n", "quiet": "-q", "verbose": "-v"}
RUN = "Run"  # a heading of the help: options that change no number


def takes(
    panels: Mapping[str, tuple[type, ...]],
    defaults: Mapping[str, object] | None = None,
    without: Collection[str] = (),
) -> Callable[[Function], Function]:
    """Give a command the fields of dataclasses as options, in place of its `**given`.

    `panels` says under which heading of the help each dataclass stands, `defaults` what the help
    calls the default of an option instead of the field's, `without` the options that the command
    does not have. Of two fields of one name the first is the option. An option that is not given
    is passed as None, so that what was given can be told from the defaults.
    """

    def decorate(function: Function) -> Function:
        signature = inspect.signature(function, eval_str=True)
        own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
        fields: dict[str, inspect.Parameter] = {}
        for panel, cls in ((panel, cls) for panel, classes in panels.items() for cls in classes):
            for name, option in options_of(cls).items():
                if name not in without and name not in fields:
                    default = (defaults or {}).get(name, option.default)
                    fields[name] = _parameter(replace(option, default=default), panel)
        # Typer reads the parameters of a function from here.
        function.__signature__ = signature.replace(parameters=[*fields.values(), *own])  # type: ignore[attr-defined]
        return function

    return decorate


def _parameter(option: Option, panel: str) -> inspect.Parameter:
    """Return an option as a parameter of a command; its value stays the text that was typed.

    What the text means, `Option.read` says: the same words and errors as in a TOML file.
    """
    flag = option.kind is bool
    # What an experiment has switched on can be switched off: a file may say so, too.
    switch = f"/--no-{option.name}" if flag and panel != RUN else ""
    declared = typer.Option(
        *SHORT.get(option.name, "").split(),
        f"--{option.name}{switch}",
        help=literal(_described(option)),
        metavar=None if flag else literal(metavar(option)),
        rich_help_panel=panel,
        show_default=False,
        autocompletion=completion(option),
    )
    return inspect.Parameter(
        option.field,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[bool | None if flag else str | None, declared],
    )


def metavar(option: Option) -> str:
    """Return what stands for a value in the help: NUMBER, or gd|sgd|minibatch."""
    return ("|".join(option.choices) or METAVARS[option.kind]) + (",..." if option.many else "")


def _described(option: Option) -> str:
    default = default_of(option)
    notes = [note for note in (limits_of(option), default and f"default {default}") if note]
    return f"{option.summary} ({'; '.join(notes)})" if notes else option.summary


def limits_of(option: Option) -> str:
    """Return the limits of a value in words, such as "at least 1", "" where there are none."""
    return option.wanted.partition(" of ")[2] if option.limits else ""


def default_of(option: Option) -> str:
    """Return the default as it would be typed, "" where there is none."""
    if option.default is None or option.default is False:
        return ""
    if isinstance(option.default, float):
        short = f"{option.default:g}"
        return short if float(short) == option.default else text(option.default)
    return texts(option.default) if isinstance(option.default, tuple) else text(option.default)


def given_of(given: Mapping[str, object], *classes: type) -> dict[str, object]:
    """Return what was given of the options of dataclasses, by name as typed."""
    options = (option for cls in classes for option in options_of(cls).values())
    return {
        option.name: value for option in options if (value := given.get(option.field)) is not None
    }


def read(cls: type[T], given: Mapping[str, object]) -> T:
    """Return a dataclass with the options given; raises UserErrors that name every mistake."""
    known, named = options_of(cls), given_of(given, cls)
    values = every(partial(one, raw, known[name], f"--{name}") for name, raw in named.items())
    return cls(**dict(zip((known[name].field for name in named), values, strict=True)))
