"""What is printed of gradient descent on a formula: its steps, a picture, and the chain rule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from typing import TYPE_CHECKING

from gdcli.expression.explain import Link, disagreement
from gdcli.fields import counted
from gdcli.report.console import has_colors
from gdcli.report.descent_picture import descent_picture
from gdcli.report.labels import apart
from gdcli.report.listing import write_lines
from gdcli.report.rows import print_rows

if TYPE_CHECKING:
    from rich.console import Console

    from gdcli.analysis.rows import Value
    from gdcli.expression.descent import Descent, Step

OFF_TERMINAL = 80  # columns of a picture in a file or a pipe
SOUND = 1e-6  # central differences in float64 agree to some 1e-10; at a kink to nothing


def print_descent(descent: Descent, form: str, console: Console) -> None:
    """Print a row a step and weight; below the `form` table, how it went, and a picture."""
    print_rows(step_rows(descent.steps), form, console)
    if form == "table":
        write_lines(list(how_it_went(descent)), console)
        if console.options.ascii_only:
            write_lines([f"The picture needs UTF-8, and the output is {console.encoding}"], console)
            return
        width = console.width if console.is_terminal else OFF_TERMINAL
        for line in descent_picture(descent, width, colored=has_colors(console)):
            console.print(line, soft_wrap=True)


def step_rows(steps: Sequence[Step]) -> list[dict[str, Value]]:
    """Return a row a step and weight."""
    return [row for step in steps for row in _rows(step)]


def _rows(step: Step) -> Iterator[dict[str, Value]]:
    for name, weight in step.weights.items():
        yield {
            "step": step.number,
            "weight": name,
            "value": weight,
            "loss": step.loss,
            "gradient": step.gradient[name],
            "lr x gradient": step.move[name],
            "updated": step.updated[name],
        }


def how_it_went(descent: Descent) -> Iterator[str]:
    """Yield the sentence on how the loss changed."""
    count, last = len(descent.steps), descent.steps[-1]
    steps = counted(count, "step", "steps")
    if not isfinite(last.loss):
        # A formula that leaves its domain, as log does at -9, has no value: it does not diverge.
        ended = "diverged" if last.loss > 0 else "stopped"
        yield f"{ended} at step {count}: the loss is {last.loss} at {_point(last.weights)}"
    elif not last.finite:
        lost = {name: value for name, value in last.updated.items() if not isfinite(value)}
        yield f"diverged at step {count}: the update is {_point(lost)}"
    elif not isfinite(descent.end):
        yield f"after {steps} the loss is {descent.end} at {_point(last.updated)}"
    else:
        yield _fall(descent, steps)


def _fall(descent: Descent, steps: str) -> str:
    """Return how a loss that stays finite changes."""
    losses = [*(step.loss for step in descent.steps), descent.end]
    first, last = losses[0], losses[-1]
    if first != last:
        text = apart([first, last], 6)
        word = "fell" if last < first else "rose"
        return f"the loss {word} from {text[first]} to {text[last]} in {steps}"
    if len(set(losses)) > 1:
        text = apart(losses, 6)
        between = f"between {text[min(losses)]} and {text[max(losses)]}"
        return f"the loss is {text[first]} at the start and after {steps}, on the way {between}"
    said = f"the loss stays at {first:.6g} in {steps}"
    points = descent.points
    if all(point == points[0] for point in points):
        return f"{said}: no step moves a weight"
    if len(points) > 2 and all(a == b for a, b in zip(points, points[2:], strict=False)):
        return f"{said}, to and fro between {_point(points[0])} and {_point(points[1])}"
    return said


def _point(weights: Mapping[str, float]) -> str:
    return ", ".join(f"{name} = {value:.6g}" for name, value in weights.items())


def print_chain(links: Sequence[Link], form: str, console: Console) -> None:
    """Print the graph of backpropagation at one point, a row a node."""
    print_rows(chain_rows(links), form, console, list(checked(links)) if form == "table" else ())


def chain_rows(links: Sequence[Link]) -> list[dict[str, Value]]:
    """Return a row a node of the graph."""
    return [
        {
            "node": link.name,
            "is": link.formula,
            "value": link.value,
            "gradient": link.gradient,
            "chain rule": link.chain,
            "by differences": link.difference,
        }
        for link in links
    ]


def checked(links: Sequence[Link]) -> Iterator[str]:
    """Yield how to read the rows, and whether differences agree."""
    gap = disagreement(links)
    yield "read the values down and the gradients up: gradient is d loss / d node"
    if gap <= SOUND:
        yield f"checked: central differences agree to {gap:.1g}"
    else:
        yield f"central differences disagree by {gap:.1g}: the loss has a kink or a jump near here"
