"""Gradient descent on a formula as one HTML file: its steps, a picture, and backpropagation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gdcli.report.page.content import DRAWING, document, embedded, plain_or_none, scripts_of
from gdcli.runs.manifest import command
from gdcli.studies.landscape.section import colours
from gdcli.studies.step.descent import Link, explain, losses_at, torch_script
from gdcli.studies.step.show import chain_rows, checked, how_it_went, shown_points, sides, step_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from gdcli.studies.step.descent import Descent

SCRIPTS = ("studies/step/descent.js", "studies/step/graph.js")
MOST_ROWS = 60  # of the table of steps
POINTS = 401  # of a curve
SIDE = 81  # points along a side of a map
DIGITS = 7


def page_bytes(text: str, descent: Descent, lr: float) -> bytes:
    """Return the page of a descent on a formula that was typed so."""
    links = explain(descent.formula, descent.steps[0].weights)
    rows = step_rows(descent.steps)
    chain = chain_rows(links)
    script = torch_script(descent.formula, descent.steps[0].weights, lr, len(descent.steps))
    cut = f"The first {MOST_ROWS} of {len(rows)} rows; gdcli step --format csv prints all."
    fields = {
        "name": f"Gradient descent on {text}",
        "summary": f"Learning rate {lr:g}: {' '.join(how_it_went(descent))}.",
        "steps": rows[:MOST_ROWS],
        "cut": cut if len(rows) > MOST_ROWS else "",
        "chain": chain,
        "checked": "; ".join(checked(links)).capitalize(),
        "torch": script,
        "command": command(),
        "data": embedded(_picture(descent) | {"graph": _graph(links)}),
    }
    return document("studies/step/descent.html", scripts_of(*DRAWING, *SCRIPTS), fields)


def _picture(descent: Descent) -> dict[str, Any]:
    """Return the loss after each step, and of one or two weights the ground that is descended."""
    losses = [*(step.loss for step in descent.steps), descent.end]
    names, shown = descent.formula.variables, shown_points(descent)
    found: dict[str, Any] = {"names": names, "losses": [_plain(loss) for loss in losses]}
    if len(names) > 2 or len(shown) < 2:
        return found
    draw = _curve if len(names) == 1 else _map
    points = [[_plain(value) for value in column] for column in zip(*shown, strict=True)]
    return found | {"points": points} | draw(descent, sides(descent, shown))


def _curve(descent: Descent, ends: Sequence[tuple[float, float]]) -> dict[str, Any]:
    xs = np.linspace(*ends[0], POINTS)
    (name,) = descent.formula.variables
    return {"xs": _plain_all(xs), "ys": _plain_all(_losses(descent, {name: xs}))}


def _map(descent: Descent, ends: Sequence[tuple[float, float]]) -> dict[str, Any]:
    first, second = (np.linspace(*end, SIDE) for end in ends)
    xs, ys = np.meshgrid(first, second)
    losses = _losses(descent, dict(zip(descent.formula.variables, (xs, ys), strict=True)))
    ground = [_plain_all(row) for row in losses]
    return {"xs": _plain_all(first), "ys": _plain_all(second), "ground": ground, **colours(losses)}


def _losses(descent: Descent, weights: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    (shape,) = {side.shape for side in weights.values()}
    return np.broadcast_to(losses_at(descent.formula, weights), shape)


def _graph(links: Sequence[Link]) -> list[dict[str, Any]]:
    """Return the nodes of backpropagation, each in the column after those that it is of."""
    columns: dict[str, int] = {}
    for link in links:
        columns[link.name] = 1 + max((columns[name] for name in link.operands), default=-1)
    return [
        {
            "name": link.name,
            "is": link.formula,
            "value": _plain(link.value),
            "gradient": _plain(link.gradient),
            "chain": link.chain,
            "of": link.operands,
            "column": columns[link.name],
        }
        for link in links
    ]


def _plain_all(values: NDArray[np.float64]) -> list[float | str | None]:
    return [_plain(value) for value in values.tolist()]


def _plain(value: float) -> float | str | None:
    return plain_or_none(value, DIGITS)
