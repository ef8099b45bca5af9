"""`gdcli step`: gradient descent on a formula, step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from annotated_types import Ge, Gt, Le

from gdcli.cli.options import RUN, Screen, assignments, checked_output, every, read, takes
from gdcli.errors import UserError, UserErrors
from gdcli.fields import convert, show, suggestion
from gdcli.formula import Formula, parse

if TYPE_CHECKING:
    from gdcli.studies.step.descent import Descent

AT = "--at"
ENDINGS = (".html", ".htm")


@dataclass(frozen=True)
class Steps:
    """How the formula is descended."""

    lr: Annotated[float, "learning rate", Gt(0)] = 0.1
    steps: Annotated[int, "how many steps", Ge(1), Le(10_000)] = 1


@dataclass(frozen=True)
class Shown:
    """What is shown of it."""

    explain: Annotated[bool, "the chain rule at the start, node by node, instead"] = False
    torch: Annotated[bool, "the same as a PyTorch script, instead"] = False


@dataclass(frozen=True)
class Written:
    """What is written besides what is printed."""

    output: Annotated[Path | None, "write all of this as an interactive page, FILE.html"] = None


@takes({"Descent": (Steps,), RUN: (Shown, Written, Screen)})
def step(
    *,
    expression: Annotated[
        str,
        typer.Argument(
            metavar="EXPRESSION", help='the loss, as in "(w - 2)**2"; after -- if it begins with -'
        ),
    ],
    at: Annotated[
        list[str] | None,
        typer.Option(
            AT, metavar="NAME=VALUE", help="where a weight starts; one for each", show_default=False
        ),
    ] = None,
    **given: object,
) -> int:
    """Take steps of gradient descent on a formula."""
    formula, starts, options, shown, written, screen = every(
        [
            partial(parse, expression),
            lambda: _starts(at or []),
            *(partial(read, cls, given) for cls in (Steps, Shown, Written, Screen)),
        ]
    )
    if shown.explain and shown.torch:
        raise UserError("--torch", "--explain shows something else", "leave one out")
    if written.output:
        checked_output(written.output, ENDINGS)
    start = _start(formula, starts)
    if written.output:  # first of all: whoever reads what is printed may have enough of it early
        size = _write(expression, _descended(formula, start, options), options.lr, written.output)
        screen.tell(f"the page is in {written.output} ({size})")
    _print(formula, start, options, shown, screen)
    return 0


def _descended(formula: Formula, start: Mapping[str, float], options: Steps) -> Descent:
    from gdcli.studies.step.descent import descend

    return descend(formula, start, options.lr, options.steps)


def _print(
    formula: Formula, start: Mapping[str, float], options: Steps, shown: Shown, screen: Screen
) -> None:
    """Print the steps, or what is shown instead of them."""
    console = screen.console()
    if shown.torch:
        from gdcli.report.text_tables import write_lines
        from gdcli.studies.step.descent import torch_script

        script = torch_script(formula, start, options.lr, options.steps)
        write_lines(script.splitlines(), console)
    elif shown.explain:
        from gdcli.studies.step.descent import explain
        from gdcli.studies.step.show import print_chain

        print_chain(explain(formula, start), screen.format, console)
    else:
        from gdcli.studies.step.show import print_descent

        print_descent(_descended(formula, start, options), screen.format, console)


def _write(expression: str, descent: Descent, lr: float, file: Path) -> str:
    """Write the page; return its size."""
    from gdcli.report.labels import bytes_in_words
    from gdcli.runs import atomic
    from gdcli.studies.step.page import page_bytes

    content = page_bytes(expression, descent, lr)
    atomic.write(file, [content])
    return bytes_in_words(len(content))


def _starts(texts: Sequence[str]) -> dict[str, float]:
    """Return the weights as typed; raises UserErrors that name every mistake."""
    typed = assignments(texts, AT)
    return dict(zip(typed, every(partial(_number, *pair) for pair in typed.items()), strict=True))


def _number(name: str, text: str) -> float:
    value: float | None = convert(text, float)
    if value is None:
        raise UserError(AT, f"{show(f'{name}={text}')} is not a number", f"write {name}=1.5, say")
    return value


def _start(formula: Formula, given: Mapping[str, float]) -> dict[str, float]:
    """Return where each weight starts; raises UserErrors unless the loss has a value there."""
    names = formula.variables
    unknown = [name for name in given if name not in names]
    missing = [name for name in names if name not in given]
    errors = [
        UserError(
            AT,
            f"{show(name)} is not in the formula",
            suggestion(name, names) or f"its weights are {', '.join(names)}",
        )
        for name in unknown
    ] + [UserError(AT, f"{name} has no start", f"add --at {name}=1") for name in missing]
    if errors:
        raise UserErrors(errors) if len(errors) > 1 else errors[0]
    from math import isfinite

    from gdcli.studies.step.descent import losses_at

    start = {name: given[name] for name in names}
    loss = float(losses_at(formula, start))
    if not isfinite(loss):
        where = ", ".join(f"{name}={value:g}" for name, value in start.items())
        raise UserError(AT, f"the loss is {loss} at {where}", "start where it is a number")
    return start
