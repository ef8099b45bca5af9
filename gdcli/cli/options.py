"""The options of commands: dataclasses whose fields are options, and how what was typed is read."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    ParamSpec,
    Protocol,
    TypeAlias,
    TypeVar,
    cast,
)

import typer
from annotated_types import Le

from gdcli.catalog.catalog import MEASURES, OPTIMIZERS, SCHEDULES, WRAPPERS
from gdcli.errors import UserError, UserErrors
from gdcli.experiment.axis import one, text, texts
from gdcli.experiment.training import MOST_STEPS
from gdcli.fields import Option, options_of, show
from gdcli.report.console import console, literal, print_lines, progress_bar
from gdcli.runs.options import NAME as RUN_NAME
from gdcli.runs.options import fail_on_words

if TYPE_CHECKING:
    from rich.console import Console

    from gdcli.analysis.diagnoses import Diagnoses
    from gdcli.runs.options import Progress

P = ParamSpec("P")
T = TypeVar("T")
Function = TypeVar("Function", bound=Callable[..., Any])
Completion: TypeAlias = Callable[[str], list[str]]
METAVARS = {int: "INTEGER", float: "NUMBER", str: "TEXT", Path: "PATH"}
SHORT = {"output": "-o", "dry-run": "-n", "quiet": "-q", "verbose": "-v"}
# Headings of the help: a problem's own options, those of every grid, those that change no number.
PROBLEM, GRID, RUN = "Problem", "Grid", "Run"
NAMES = {catalogue.word: catalogue.names for catalogue in (OPTIMIZERS, SCHEDULES, MEASURES)}


class Collect(Protocol):
    """Calls a function, and notes the UserError that it raises."""

    def __call__(self, read: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what `read` returns; None where it raised, for nobody to see."""


@contextmanager
def collect_errors() -> Iterator[Collect]:
    """Report every mistake of a command line, not only the first.

    with collect_errors() as collect:
        screen = collect(read, Screen, given)
        folder = collect(run_folder, run)

    Raises the UserErrors of all that failed, together, where the block ends: what is below it can
    use the values.
    """
    errors: list[UserError] = []

    def collect(read: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return read(*args, **kwargs)
        except UserError as error:
            errors.append(error)
        return cast("T", None)

    yield collect
    if errors:
        raise errors[0] if len(errors) == 1 else UserErrors(errors)


@dataclass(frozen=True)
class Screen:
    """The options of every command that say how results and messages are printed."""

    format: Annotated[
        Literal["table", "csv", "json", "md"], "print results as a table, CSV, JSON or Markdown"
    ] = "table"
    quiet: Annotated[
        bool, "print only results and errors; after a run only its folder, unless --format is given"
    ] = False
    verbose: Annotated[bool, "print the Python traceback of an internal error"] = False
    no_color: Annotated[bool, "print without colour"] = False

    def console(self, *, stderr: bool = False) -> Console:
        """Return the console that results go to: stdout, or stderr for other lines."""
        return console(stderr=stderr, color=not self.no_color)

    def progress(self) -> Progress:
        """Return what shows the progress of long work on stderr."""
        return progress_bar(quiet=self.quiet, color=not self.no_color)

    @property
    def terse(self) -> bool:
        """Whether only the folder of a new run is printed, for the next command of a script."""
        return self.quiet and self.format == "table"

    def print_path(self, folder: Path) -> None:
        """Print a run's folder as the next command takes it."""
        self.console().file.write(f"{folder}\n")

    def tell(self, message: str) -> None:
        """Print a message that is not a result on stderr, unless --quiet is given."""
        if not self.quiet:
            self.warn(message)

    def warn(self, message: str) -> None:
        """Print on stderr, which may be closed or full, what went wrong."""
        with suppress(OSError):
            print_lines([literal(message)], self.console(stderr=True))


@dataclass(frozen=True)
class Trust:
    """Whether your own code that a run's folder names may be run."""

    trust: Annotated[bool, "run the code of your own that the run's folder names"] = False


def options_from(
    panels: Mapping[str, tuple[type, ...]],
    defaults: Mapping[str, object] | None = None,
    without: Collection[str] = (),
) -> Callable[[Function], Function]:
    """Give a command the fields of dataclasses as options, in place of its `**given`.

    An option that is not typed is passed as None: what was typed can be told from the defaults.
    The arguments are those of `parameters`.
    """

    def decorate(function: Function) -> Function:
        signature = inspect.signature(function, eval_str=True)
        own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
        options = parameters(panels, defaults or {}, without)
        # Typer reads the parameters of a function from here.
        function.__signature__ = signature.replace(parameters=[*options, *own])  # type: ignore[attr-defined]
        return function

    return decorate


def parameters(
    panels: Mapping[str, tuple[type, ...]],
    defaults: Mapping[str, object],
    without: Collection[str],
) -> list[inspect.Parameter]:
    """Return the fields of dataclasses as keyword-only parameters that Typer takes for options.

    panels: the dataclasses under each heading of the help; of two fields of one name the first is
    the option. defaults: what the help calls the default of an option instead of the field's.
    without: the options that the command does not have.
    """
    fields: dict[str, inspect.Parameter] = {}
    for panel, cls in ((panel, cls) for panel, classes in panels.items() for cls in classes):
        for name, option in options_of(cls).items():
            if name not in without and name not in fields:
                default = defaults.get(name, option.default)
                fields[name] = _parameter(replace(option, default=default), panel)
    return [*fields.values()]


def _parameter(option: Option, panel: str) -> inspect.Parameter:
    """Return an option as a parameter of a command; its value stays the text that was typed.

    `Option.read` says what the text means: the same words and errors as in a TOML file.
    """
    flag = option.kind is bool
    # What an experiment has switched on can be switched off: a file may say so, too.
    switch = f"/--no-{option.name}" if flag and panel in (PROBLEM, GRID) else ""
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
    """Return the line of the help: what the option is, its limits and its default."""
    default = default_of(option)
    notes = [note for note in (limits_of(option), default and f"default: {default}") if note]
    what, bracket, own = option.summary.removesuffix(")").rpartition(" (default: ")
    if bracket:  # a default in words
        notes.append(f"default: {own}")
    summary = what if bracket else option.summary
    if option.name == MEASURES.word:
        # Plugins are left to `gdcli measures`: to ask for them takes longer than all the rest.
        summary += ": " + "; ".join(map(_of_measure, MEASURES.built_in()))
    return f"{summary} ({'; '.join(notes)})" if notes else summary


def _of_measure(name: str) -> str:
    """Return a measure and its summary, in a sentence."""
    summary = MEASURES.summary(name)
    return f"{name} ({summary[:1].lower()}{summary[1:]})"


def limits_of(option: Option) -> str:
    """Return the limits of a value in words, such as "at least 1", "" where there are none."""
    told = tuple(limit for limit in option.limits if limit != Le(MOST_STEPS))  # no news to anyone
    return replace(option, limits=told).wanted.partition(" of ")[2] if told else ""


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
    with collect_errors() as collect:
        values = {
            known[name].field: collect(one, raw, known[name], f"--{name}")
            for name, raw in named.items()
        }
    return cls(**values)


def assignments(typed: Iterable[str], where: str) -> dict[str, str]:
    """Return the values by name of NAME=VALUES, as --vary and --set take them.

    Raises UserError, naming `where`, for a name without values or given twice.
    """
    found: dict[str, str] = {}
    for pair in typed:
        name, equals, values = pair.partition("=")
        key = name.strip()
        if not key or not equals:
            raise UserError(
                where, f"{show(pair)} is not a name and its values", "write NAME=VALUES"
            )
        if key.replace("_", "-") in (other.replace("_", "-") for other in found):
            raise UserError(where, f"{show(key)} is given twice", "give it once, with all values")
        found[key] = values
    return found


def checked_file(file: Path, endings: Sequence[str], option: str = "--output") -> Path:
    """Return a file that can be written; raises UserError for another ending, or no folder.

    A file that exists is not a mistake: it is replaced, as a picture that is drawn again is.
    """
    given = show(str(file))
    if file.suffix.lower() not in endings:
        wanted = " or ".join([", ".join(endings[:-1]), endings[-1]][len(endings) < 2 :])
        fix = f"name it {file.stem or 'results'}{endings[0]}"
        raise UserError(option, f"{given} does not end in {wanted}", fix)
    check_place(file, option)
    return file


def check_place(file: Path, option: str) -> None:
    """Raise UserError where a file cannot be: its folder does not exist, or it is a folder."""
    if file.is_dir() or not file.parent.is_dir():
        what = "is a folder" if file.is_dir() else "is in no folder that exists"
        fix = "give a file in a folder that exists"
        raise UserError(option, f"{show(str(file))} {what}", fix)


def completion(option: Option) -> Completion | None:
    """Return how a shell completes the values of an option, None where they are not known."""
    if option.axis and option.name in NAMES:
        further = composed_of if option.name == OPTIMIZERS.word else None
        return one_of(NAMES[option.name], many=True, further=further)
    if option.name == "fail-on":
        return one_of(fail_on_words, many=True)
    return one_of(lambda: option.choices, many=option.many) if option.choices else None


def one_of(
    names: Callable[[], Iterable[str]], *, many: bool = False, further: Completion | None = None
) -> Completion:
    """Complete a name, or of `many` with commas between them the last one.

    further: what else one may be, by how it begins.
    """

    def complete(incomplete: str) -> list[str]:
        before, comma, last = incomplete.rpartition(",") if many else ("", "", incomplete)
        known = [*names(), *(further(last) if further else ())]
        return [before + comma + name for name in known if name not in before.split(",")]

    return complete


def composed_of(incomplete: str) -> list[str]:
    """Complete the last part of a composed optimizer: adamw+c is adamw+cautious."""
    before, plus, _ = incomplete.rpartition("+")
    parts = [*OPTIMIZERS.names(), *WRAPPERS.names()] if plus else []
    return [f"{before}+{name}" for name in parts if name not in before.split("+")]


def runs() -> list[str]:
    """Complete the name of a run in results; paths are the shell's own to complete."""
    names = (file.parent.parent.name for file in Path("results").glob("*/.gdcli/spec.json"))
    # The shell reads names as code.
    return sorted(name for name in names if RUN_NAME.fullmatch(name))


RunArgument: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="RUN", help="a run's folder, or its name in results", autocompletion=runs
    ),
]
RunArguments: TypeAlias = Annotated[
    list[str],
    typer.Argument(
        metavar="RUN", help="runs' folders, or their names in results", autocompletion=runs
    ),
]


def print_run(
    folder: Path, screen: Screen, *, results: bool = True, failures: bool = False
) -> Diagnoses:
    """Print a run's results, and on stderr what failed trials raised; return its diagnoses."""
    from gdcli.report.results import print_outcome

    errors = screen.console(stderr=True) if failures else None
    return print_outcome(folder, screen.format if results else None, screen.console(), errors)
