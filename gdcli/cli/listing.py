"""What there is: `gdcli problems`, `optimizers`, `schedules`, `measures`, `runs` and `doctor`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gdcli.catalog.catalog import (
    MEASURES,
    OPTIMIZERS,
    PROBLEMS,
    SCHEDULES,
    WRAPPERS,
    Catalogue,
    TorchOptimizer,
    kinds_in,
    owned,
)
from gdcli.catalog.user_code import is_own
from gdcli.cli.options import (
    RUN,
    Screen,
    composed_of,
    default_of,
    limits_of,
    metavar,
    options_from,
    read,
)
from gdcli.errors import UserError
from gdcli.fields import Option, options_of, show
from gdcli.optimizer import Optimizer
from gdcli.report.text_tables import print_json, print_listing, write_lines

if TYPE_CHECKING:
    from rich.console import Console

    from gdcli.measure import Column
    from gdcli.optimizer import Rule


COUPLED = "is part of the gradient: weight_decay * param is added to it."
DECOUPLED = "is decoupled: each step subtracts lr * weight_decay * param."
AFTER = "It goes around a rule: write it after one, as in --optimizer adamw+{}."


def print_details(catalogue: Catalogue[Any], name: str, form: str, console: Console) -> None:
    """Print the text and the options of an entry, of a measure its columns; csv is those alone."""
    where = f"gdcli {catalogue.folder}"
    if is_own(name):  # a listing runs nobody's file
        fix = f"to run it and see its options: gdcli run {name} --help"
        raise UserError(where, f"{show(name)} is a file, and this command runs none", fix)
    wrapper = name.removeprefix("RULE+")
    if catalogue is OPTIMIZERS and wrapper in WRAPPERS.names():
        catalogue, name = WRAPPERS, wrapper
    cls = catalogue.find(name, where)
    about = "\n\n".join(
        f"{kind.__name__}: {text}" if cls is not kind else text
        for _, kind in kinds_in("", cls)
        if (text := inspect.cleandoc(kind.__doc__ or ""))
    )
    if catalogue is WRAPPERS:
        about = f"{about}\n\n{AFTER.format(name)}"
    if catalogue is MEASURES:
        rows = [_column_row(column) for column in cls.columns]
    else:
        rows = _rows(catalogue, name, cls)
    rated = {"default_lr": cls.default_lr} if catalogue is OPTIMIZERS else {}
    if form == "json":
        entry = {"name": name, "summary": catalogue.summary(name), "description": about, **rated}
        print_json({**entry, "columns" if catalogue is MEASURES else "options": rows}, console)
        return
    if form != "csv":
        rate = [_rate_of(cls), *_decays_of(cls), ""] if rated else []
        write_lines([f"{name}: {catalogue.summary(name)}", "", about, "", *rate], console)
    print_listing(rows, form, console)


def _rate_of(rule: type[Rule]) -> str:
    """Return which learning rate a rule has where none is given."""
    own = "that of the problem" if rule.default_lr is None else f"{rule.default_lr:g}"
    return f"Without --lr, its learning rate is {own}."


def _decays_of(cls: type[Rule]) -> list[str]:
    """Return how each rule applies weight decay, where its docstring does not say so."""
    rules = [kind for word, kind in kinds_in("", cls) if word != "wrapper"]
    known = [rule for rule in rules if _decay_is_known(rule)]
    return [f"{_named(rule, rules)} {DECOUPLED if rule.decoupled else COUPLED}" for rule in known]


def _decay_is_known(rule: type[Rule]) -> bool:
    """Return whether weight decay is applied as the contract says."""
    own = rule.decays_itself or issubclass(rule, TorchOptimizer)
    return not own and (issubclass(rule, Optimizer) or rule.__module__.startswith("gdcli."))


def _named(rule: type[Rule], rules: list[type[Rule]]) -> str:
    return "Weight decay" if len(rules) == 1 else f"{rule.__name__}'s weight decay"


def _rows(catalogue: Catalogue[Any], name: str, cls: type[Any]) -> list[dict[str, str]]:
    """Return the options of an entry as the listing shows them."""
    refused = getattr(cls, "refused", ())
    typed = {} if catalogue is PROBLEMS else {o.field: key for key, o in owned(name, cls).items()}
    return [
        _row(f"--vary {typed[o.field]}" if o.field in typed else f"--{o.name}", o)
        for o in options_of(cls).values()
        if o.field not in refused
    ]


def _row(typed: str, option: Option) -> dict[str, str]:
    """Return an option as the listing shows it."""
    return {
        "option": typed,
        "type": "true|false" if option.kind is bool else metavar(option),
        "range": limits_of(option),
        "default": "false" if option.default is False else default_of(option),
        "summary": option.summary,
    }


def _column_row(column: Column) -> dict[str, str]:
    """Return a column as the listing shows it, with how `gdcli verify` compares its values."""
    rtol = "the precision's" if column.rtol is None else f"{column.rtol:g}"
    elsewhere = {
        "equal": "must be equal on another machine",
        "close": f"must be close on another machine: rtol {rtol}, atol {column.atol:g}",
        "any": "not compared on another machine",
    }
    return {
        "column": column.name,
        "type": column.kind,
        "verify": elsewhere[column.elsewhere],
        "summary": column.phrase,
    }


def _names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return what a shell completes the argument of one of the commands by."""
    kinds: tuple[Catalogue[Any], ...] = (PROBLEMS, OPTIMIZERS, SCHEDULES, MEASURES)
    kind = {kind.folder: kind for kind in kinds}[str(ctx.info_name)]
    return [*kind.names(), *(composed_of(incomplete) if kind is OPTIMIZERS else ())]


WRAPPERS_TITLE = "Wrappers: write one, or several, after a rule, such as adamw+ema"


def wrappers() -> list[dict[str, str]]:
    """Return the wrappers as they are listed: RULE+ema."""
    return [{"name": f"RULE+{n}", "summary": WRAPPERS.summary(n)} for n in WRAPPERS.names()]


def listing(catalogue: Catalogue[Any]) -> Callable[..., int]:
    """Return the command that lists a catalogue."""
    whole = "its columns" if catalogue is MEASURES else "all of its options"

    @options_from({RUN: (Screen,)})
    def command(
        *,
        name: Annotated[
            str | None,
            typer.Argument(
                metavar="NAME",
                help="name of one to describe in full",
                autocompletion=_names,
            ),
        ] = None,
        **given: object,
    ) -> int:
        screen = read(Screen, given)
        if name is not None:
            print_details(catalogue, name, screen.format, screen.console())
            return 0
        rows = [{"name": name, "summary": catalogue.summary(name)} for name in catalogue.names()]
        after = wrappers() if catalogue is OPTIMIZERS else []
        if screen.format in ("json", "csv"):
            print_listing([*rows, *after], screen.format, screen.console())
            return 0
        print_listing(rows, screen.format, screen.console())
        if after:
            write_lines(["", f"{WRAPPERS_TITLE}:", ""], screen.console())
            print_listing(after, screen.format, screen.console())
        return 0

    command.__doc__ = f"List the {catalogue.folder}, or describe one with {whole}."
    return command


problems, optimizers, schedules = listing(PROBLEMS), listing(OPTIMIZERS), listing(SCHEDULES)
measures = listing(MEASURES)


@options_from({RUN: (Screen,)})
def runs(
    *,
    folder: Annotated[
        str | None, typer.Argument(metavar="FOLDER", help="folder of runs (default: results)")
    ] = None,
    **given: object,
) -> int:
    """List the runs in a folder, and whether each is complete.

    complete: all results are there, as the run wrote them. partial: the run is not finished; its
    command continues it. damaged: a file is missing or changed; the command of the run mends it. in
    progress: a process is at work on it.
    """
    screen = read(Screen, given)
    if folder is not None and not Path(folder).is_dir():
        fix = "give the folder that runs are in, such as results"
        raise UserError(show(folder), "there is no such folder", fix)
    from gdcli.runs.folder import overview

    where = Path(folder or "results")
    rows = [asdict(entry) for entry in overview(where)] if where.is_dir() else []
    if rows or screen.format == "json":
        print_listing(rows, screen.format, screen.console())
    if not rows:
        screen.tell(f"there are no runs in {where}")
    return 0


@options_from({RUN: (Screen,)})
def doctor(**given: object) -> int:
    """Print the versions and devices of this machine, for a bug report."""
    screen = read(Screen, given)
    from gdcli.runs.installation import diagnose

    found = diagnose()
    if screen.format == "json":
        print_json(found, screen.console())
    else:
        rows = [{"item": name, "value": value} for name, value in found.items()]
        print_listing(rows, screen.format, screen.console())
    return 0
