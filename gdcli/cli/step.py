"""`gdcli step`: gradient descent on a formula, step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import typer
from annotated_types import Ge, Gt, Le

from gdcli.cli.assignments import assignments
from gdcli.cli.mistakes import every
from gdcli.cli.options import RUN, read, takes
from gdcli.cli.screen import Screen
from gdcli.errors import UserError, UserErrors
from gdcli.expression.formula import Formula, parse
from gdcli.fields import convert, show, suggestion

AT = "--at"


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


@takes({"Descent": (Steps,), RUN: (Shown, Screen)})
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
    formula, starts, options, shown, screen = every(
        [
            partial(parse, expression),
            lambda: _starts(at or []),
            *(partial(read, cls, given) for cls in (Steps, Shown, Screen)),
        ]
    )
    if shown.explain and shown.torch:
        raise UserError("--torch", "--explain shows something else", "leave one out")
    start = _start(formula, starts)
    console = screen.console()
    if shown.torch:
        from gdcli.expression.torch_script import torch_script
        from gdcli.report.listing import write_lines

        script = torch_script(formula, start, options.lr, options.steps)
        write_lines(script.splitlines(), console)
    elif shown.explain:
        from gdcli.expression.explain import explain
        from gdcli.report.descent import print_chain

        print_chain(explain(formula, start), screen.format, console)
    else:
        from gdcli.expression.descent import descend
        from gdcli.report.descent import print_descent

        print_descent(descend(formula, start, options.lr, options.steps), screen.format, console)
    return 0


def _starts(texts: Sequence[str]) -> dict[str, float]:
    """Return the weights as typed; raises UserErrors that name every mistake."""
    typed = assignments(texts, AT)
    return dict(zip(typed, every(partial(_number, *pair) for pair in typed.items()), strict=True))


def _number(name: str, text: str) -> float:
    value: float | None = convert(text, float)
    if value is None:
        raise UserError(AT, f"{show(f'{name}={text}')} is no number", f"write {name}=1.5, say")
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

    from gdcli.expression.descent import losses_at

    start = {name: given[name] for name in names}
    loss = float(losses_at(formula, start))
    if not isfinite(loss):
        where = ", ".join(f"{name}={value:g}" for name, value in start.items())
        raise UserError(AT, f"the loss is {loss} at {where}", "start where it is a number")
    return start
