"""What is printed of gradient descent on a formula: its steps, a picture, and the chain rule."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from gdcli.expression.explain import Link, disagreement
from gdcli.report.console import has_colors
from gdcli.report.descent_picture import descent_picture
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
    count = len(descent.steps)
    steps = "1 step" if count == 1 else f"{count} steps"
    if not descent.steps[-1].finite:
        yield f"diverged at step {count}: a weight or the loss is no number any more"
        return
    first, last = descent.steps[0].loss, descent.end
    word = "fell" if last < first else "rose" if last > first else "stayed"
    yield f"the loss {word} from {first:.6g} to {last:.6g} in {steps}"


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
