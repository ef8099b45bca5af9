"""What a picture of a descent makes room for: the points that are shown, and the sides around."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gdcli.expression.descent import descend, losses_at

if TYPE_CHECKING:
    from gdcli.expression.descent import Descent

MARGIN = 0.15  # around what must be in the picture, of its size
FAR = 100  # times the first step: a minimum that is further away is not waited for
WILD = 100  # times the start's loss: points above it would flatten all the others


def shown_points(descent: Descent) -> list[list[float]]:
    """Return the points that the picture makes room for: those before the first wild one."""
    shown: list[list[float]] = []
    most = WILD * max(1.0, abs(descent.steps[0].loss))
    for point in descent.points:
        if not abs(float(losses_at(descent.formula, point))) <= most:
            break
        shown.append([point[name] for name in descent.formula.variables])
    return shown


def sides(descent: Descent, shown: Sequence[Sequence[float]]) -> list[tuple[float, float]]:
    """Return the ends of each weight's side; of one weight, with a minimum that is near."""
    columns = [list(column) for column in zip(*shown, strict=True)]
    if len(columns) == 1:
        columns[0] += _minimum(descent, columns[0])
    return [_padded(column) for column in columns]


def _minimum(descent: Descent, shown: Sequence[float]) -> list[float]:
    """Return where the slopes at the first two points say that it is 0, if that is near enough."""
    (name,) = descent.formula.variables
    start, after = shown[:2]
    first = descent.steps[0].gradient[name]
    second = descend(descent.formula, {name: after}, 1.0, 1).steps[0].gradient[name]
    if start == after or not (second - first) / (after - start) > 0:
        return []
    distance = -first * (after - start) / (second - first)
    return [start + distance] if abs(distance) <= FAR * abs(after - start) else []


def _padded(values: Sequence[float]) -> tuple[float, float]:
    """Return the ends of a side that has values in it, with some margin."""
    low, high = min(values), max(values)
    margin = MARGIN * (high - low) or 1.0
    return low - margin, high + margin
