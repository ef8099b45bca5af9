"""`gdcli step`: gradient descent on a formula, step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer
from annotated_types import Ge, Gt, Le

from gdcli import fields
from gdcli.cli.options import (
    RUN,
    Screen,
    assignments,
    checked_file,
    collect_errors,
    options_from,
    read,
)
from gdcli.errors import UserError
from gdcli.formula import Formula, parse
from gdcli.numbers import bytes_in_words
from gdcli.report.text_tables import write_lines
from gdcli.runs import atomic

if TYPE_CHECKING:
    from gdcli.studies.step.descent import Descent

AT = "--at"
DESCENT = "Descent"  # a heading of the help
ENDINGS = (".html", ".htm")


@dataclass(frozen=True)
class FormulaSteps:
    """How the formula is descended."""

    lr: Annotated[float, "learning rate", Gt(0)] = 0.1
    steps: Annotated[int, "number of steps", Ge(1), Le(10_000)] = 1


@dataclass(frozen=True)
class Display:
    """What is printed instead of the steps."""

    explain: Annotated[
        bool, "print the chain rule at the start, operation by operation, instead of the steps"
    ] = False
    torch: Annotated[bool, "print a PyTorch script that takes the same steps, not the steps"] = (
        False
    )

    def __post_init__(self) -> None:
        """Raise UserError for both at once."""
        if self.explain and self.torch:
            raise UserError("--torch", "--explain prints something else", "leave one out")


@dataclass(frozen=True)
class StepFile:
    """What is written besides what is printed."""

    output: Annotated[
        Path | None, "write the steps, the curve and the chain rule to this page (.html)"
    ] = None


Starts: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        AT,
        metavar="NAME=VALUE",
        rich_help_panel=DESCENT,
        help="starting value of a weight; give one for each weight",
        show_default=False,
    ),
]


@options_from({DESCENT: (FormulaSteps,), RUN: (Display, StepFile, Screen)})
def step(
    *,
    expression: Annotated[
        str,
        typer.Argument(
            metavar="EXPRESSION",
            help='the loss, such as "(w - 2)**2"; put -- before one that begins with -',
        ),
    ],
    at: Starts = None,
    **given: object,
) -> int:
    """Take steps of gradient descent on a formula, and print each.

    Each step moves every weight against its gradient, times the learning rate. The formula takes
    numbers, names (the weights), + - * / **, and functions such as exp and log.
    """
    with collect_errors() as collect:
        formula = collect(parse, expression)
        starts = collect(_starts, at or [])
        options = collect(read, FormulaSteps, given)
        display = collect(read, Display, given)
        files = collect(read, StepFile, given)
        screen = collect(read, Screen, given)
    if files.output:
        checked_file(files.output, ENDINGS)
    from gdcli.studies.step import descent, show

    start = _start(formula, starts)
    _check_loss(float(descent.losses_at(formula, start)), start)
    steps = descent.descend(formula, start, options.lr, options.steps)
    if files.output:  # first of all: whoever reads what is printed may have enough of it early
        _write_page(files.output, expression, steps, options.lr, screen)
    form, console = screen.format, screen.console()
    if display.torch:
        script = descent.torch_script(formula, start, options.lr, options.steps)
        write_lines(script.splitlines(), console)
    elif display.explain:
        show.print_chain(descent.explain(formula, start), form, console)
    else:
        show.print_descent(steps, form, console)
    return 0


def _write_page(file: Path, text: str, descent: Descent, lr: float, screen: Screen) -> None:
    from gdcli.studies.step.page import page_bytes

    page = page_bytes(text, descent, lr)
    atomic.write(file, [page])
    screen.tell(f"the page is in {file} ({bytes_in_words(len(page))})")


def _starts(typed: Sequence[str]) -> dict[str, float]:
    """Return the weights as typed; raises UserErrors that name every mistake."""
    with collect_errors() as collect:
        return {name: collect(_number, name, text) for name, text in assignments(typed, AT).items()}


def _number(name: str, text: str) -> float:
    value: float | None = fields.convert(text, float)
    if value is None:
        raise UserError(
            AT, f"{fields.show(f'{name}={text}')} is not a number", f"write {name}=1.5, say"
        )
    return value


def _start(formula: Formula, given: Mapping[str, float]) -> dict[str, float]:
    """Return where each weight starts; raises UserErrors for unknown weights and missing ones."""
    names = formula.variables

    def check(name: str) -> None:
        if name not in names:
            fix = fields.suggestion(name, names) or f"its weights are {', '.join(names)}"
            raise UserError(AT, f"{fields.show(name)} is not in the formula", fix)
        if name not in given:
            raise UserError(AT, f"{name} has no start", f"add --at {name}=1")

    with collect_errors() as collect:
        for name in (*given, *names):
            collect(check, name)
    return {name: given[name] for name in names}


def _check_loss(loss: float, start: Mapping[str, float]) -> None:
    """Raise UserError where the formula has no value at the start."""
    if not isfinite(loss):
        where = ", ".join(f"{name}={value:g}" for name, value in start.items())
        raise UserError(AT, f"the loss is {loss} at {where}", "start where it is a number")
