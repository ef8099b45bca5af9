"""The graph of a formula: forward for its value, backward for its gradient."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from gdcli.arrays import namespace
from gdcli.expression.nodes import Applied, Node, Number, Variable
from gdcli.expression.operations import OPERATIONS, Numbers

STEP = math.cbrt(sys.float_info.epsilon)  # of central differences: their errors balance


def forward(
    nodes: Sequence[Node],
    point: Mapping[str, Numbers],
    changed: Mapping[int, Numbers] | None = None,
) -> list[Numbers]:
    """Return the value of every node at a point; `changed` says those of some, by place.

    The point's numbers are arrays of any library, or NumPy's scalars.
    """
    values: list[Numbers] = []
    like = next(iter(point.values()))
    for place, node in enumerate(nodes):
        if changed and place in changed:
            values.append(changed[place])
        elif isinstance(node, Applied):
            inputs = (values[operand] for operand in node.operands)
            values.append(OPERATIONS[node.operation].value(*inputs))
        else:
            values.append(_number(node, like) if isinstance(node, Number) else point[node.name])
    return values


def _number(node: Number, like: Numbers) -> Numbers:
    """Return a constant of the library, precision and device of another number."""
    # Filled in where it is: a copy from the host could not be part of a CUDA graph.
    constant = namespace(like).full((), node.value, dtype=like.dtype, device=like.device)
    number: Numbers = constant[()]
    return number


def varying(nodes: Sequence[Node]) -> list[int]:
    """Return the places of the nodes that depend on a weight."""
    found: list[int] = []
    for place, node in enumerate(nodes):
        if isinstance(node, Variable) or not set(found).isdisjoint(operands(node)):
            found.append(place)
    return found


def operands(node: Node) -> tuple[int, ...]:
    """Return the places of what a node is computed from; none for a number or a weight."""
    return node.operands if isinstance(node, Applied) else ()


def slopes(nodes: Sequence[Node], values: Sequence[Numbers], place: int) -> tuple[Any, ...]:
    """Return the derivatives of a node with respect to each of its operands; none: it has none."""
    node = nodes[place]
    if not isinstance(node, Applied):
        return ()
    inputs = (values[operand] for operand in node.operands)
    return OPERATIONS[node.operation].slopes(values[place], *inputs)


def backward(nodes: Sequence[Node], values: Sequence[Numbers]) -> list[Numbers]:
    """Return d loss / d node for every node; 0 for those that depend on no weight.

    The chain rule from the loss to its weights: what a node passes to an operand is its own
    gradient times its slope there, and an operand used twice is passed the sum (Rumelhart, Hinton
    and Williams, 1986).
    """
    gradients: list[Any] = [0.0] * len(nodes)
    gradients[-1] = namespace(values[-1]).ones_like(values[-1])[()]
    upward = varying(nodes)
    for place in reversed(upward):
        own = slopes(nodes, values, place)
        for operand, slope in zip(operands(nodes[place]), own, strict=True):
            if operand in upward:
                gradients[operand] = gradients[operand] + gradients[place] * slope
    return gradients


def difference(
    nodes: Sequence[Node],
    point: Mapping[str, Numbers],
    values: Sequence[Numbers],
    place: int,
) -> Numbers:
    """Return d loss / d node by central differences: no derivative is used."""
    value = values[place]
    xp = namespace(value)
    gap = STEP * xp.maximum(xp.abs(value), xp.ones_like(value))
    ends = [forward(nodes, point, {place: value + side * gap})[-1] for side in (1, -1)]
    quotient: Numbers = (ends[0] - ends[1]) / (2 * gap)
    return quotient
