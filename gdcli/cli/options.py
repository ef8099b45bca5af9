"""The fields of a dataclass as the options of a command, and back.

Every mistake of a command line is reported, not only the first.

The arguments of --vary and --set: NAME=VALUES, each name once.

What a shell offers when it completes a value: names, choices, and runs.

A file that a command writes besides what it prints.

`-o FILE`: whether a picture or a page can be written there.

What is shown, and how: the options that every command has.

`--trust`: whether code that a run's folder names may be run.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, TypeVar

import typer

from gdcli.catalog.catalog import OPTIMIZERS, SCHEDULES
from gdcli.errors import UserError, UserErrors
from gdcli.experiment.axis import one, text, texts
from gdcli.fields import Option, options_of, show
from gdcli.report.console import console, literal, print_lines
from gdcli.runs.options import NAME

if TYPE_CHECKING:
    from rich.console import Console


def every(actions: Iterable[Callable[[], object]]) -> list[Any]:
    """Return the results of all actions; raises the UserErrors of all that fail, together."""
    results, errors = [], []
    for action in actions:
        try:
            results.append(action())
        except UserError as error:
            errors.append(error)
    if errors:
        raise errors[0] if len(errors) == 1 else UserErrors(errors)
    return results


def assignments(texts: Iterable[str], where: str) -> dict[str, str]:
    """Return the values by name; raises UserError, naming `where`."""
    found: dict[str, str] = {}
    for given in texts:
        name, equals, values = given.partition("=")
        key = name.strip()
        if not key or not equals:
            raise UserError(where, f"{show(given)} does not say what is what", "write NAME=VALUES")
        if key.replace("_", "-") in (other.replace("_", "-") for other in found):
            raise UserError(where, f"{show(key)} is given twice", "give it once, with all values")
        found[key] = values
    return found


Completion: TypeAlias = Callable[[str], list[str]]
RULES = {catalogue.word: catalogue.names for catalogue in (OPTIMIZERS, SCHEDULES)}


def completion(option: Option) -> Completion | None:
    """Return how the values of an option are completed, None where they are not known."""
    if option.axis and option.name in RULES:
        return one_of(RULES[option.name], many=True)
    return one_of(lambda: option.choices, many=option.many) if option.choices else None


def one_of(names: Callable[[], Iterable[str]], *, many: bool = False) -> Completion:
    """Complete a name, or of `many` with commas between them the last one."""

    def complete(incomplete: str) -> list[str]:
        before, comma, _ = incomplete.rpartition(",") if many else ("", "", "")
        return [before + comma + name for name in names() if name not in before.split(",")]

    return complete


def runs() -> list[str]:
    """Complete the name of a run in results; paths are the shell's own to complete."""
    names = (file.parent.parent.name for file in Path("results").glob("*/.gdcli/spec.json"))
    return sorted(name for name in names if NAME.fullmatch(name))  # the shell reads them as code


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


def checked_output(path: Path, endings: Sequence[str]) -> Path:
    """Return a path that can be written; raises UserError where it cannot, or ends otherwise."""
    wanted = ", ".join(endings)
    if path.suffix.lower() not in endings:
        what = f"{show(str(path))} does not end in {wanted}"
        raise UserError("--output", what, f"the ending says what is written: give {wanted}")
    if path.is_dir() or not path.parent.is_dir():
        what = "is a folder" if path.is_dir() else "is in no folder that exists"
        fix = "give a file in a folder that exists"
        raise UserError("--output", f"{show(str(path))} {what}", fix)
    return path


def checked_target(file: Path, suffixes: Sequence[str]) -> Path:
    """Return a file that can be named so; raises UserError for another kind or no folder.

    The file itself is replaced where it is there, as a picture that is drawn again is.
    """
    given = show(str(file))
    if file.suffix.lower() not in suffixes:
        wanted = " or ".join([", ".join(suffixes[:-1]), suffixes[-1]][len(suffixes) < 2 :])
        fix = f"name it {file.stem or 'results'}{suffixes[0]}"
        raise UserError("--output", f"{given} does not end in {wanted}", fix)
    if file.is_dir():
        raise UserError("--output", f"{given} is a folder", "give a file")
    if not file.parent.is_dir():
        fix = "give a file in a folder that exists"
        raise UserError("--output", f"{given} is in no folder that exists", fix)
    return file


@dataclass(frozen=True)
class Screen:
    """The options of every command that say how it speaks."""

    format: Annotated[Literal["table", "csv", "json", "md"], "form of what is printed"] = "table"
    quiet: Annotated[
        bool, "print only results and errors; after a run only its folder, unless --format is given"
    ] = False
    verbose: Annotated[bool, "print the traceback of an internal error"] = False
    no_color: Annotated[bool, "print without colour"] = False

    def console(self, *, stderr: bool = False) -> Console:
        """Return where results go: stdout, or stderr for what is not a result."""
        return console(stderr=stderr, color=not self.no_color)

    @property
    def terse(self) -> bool:
        """Whether only the folder of a new run is printed, for the next command of a script."""
        return self.quiet and self.format == "table"

    def print_path(self, folder: Path) -> None:
        """Print a run's folder as the next command takes it."""
        self.console().file.write(f"{folder}\n")

    def tell(self, message: str) -> None:
        """Say what is not a result, on stderr."""
        if not self.quiet:
            self.warn(message)

    def warn(self, message: str) -> None:
        """Say what went wrong, on stderr, which may be closed or full."""
        with suppress(OSError):
            print_lines([literal(message)], self.console(stderr=True))


@dataclass(frozen=True)
class Trust:
    """What is thought of whoever made the folder."""

    trust: Annotated[bool, "run the code of the user's own that the run's folder names"] = False
