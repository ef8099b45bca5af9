"""The chain rule, node by node, beside what central differences say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gdcli.expression.formula import BINARY, FUNCTIONS, Formula
from gdcli.expression.graph import backward, difference, forward, operands, slopes, varying
from gdcli.expression.nodes import Applied, Node, Variable
from gdcli.expression.operations import Numbers


@dataclass(frozen=True)
class Link:
    """A node of the graph of backpropagation."""

    name: str  # v1, v2, ... in the order in which they are computed
    formula: str  # what it is of earlier nodes
    value: float
    gradient: float  # d loss / d node
    chain: str  # how the gradient comes about: those of its users times their slopes
    difference: float  # the same gradient by central differences
    operands: tuple[str, ...] = ()  # the nodes that it is of, once each; numbers are none


def explain(formula: Formula, weights: Mapping[str, float]) -> list[Link]:
    """Return every node that depends on a weight, in the order of the forward pass."""
    nodes = formula.nodes
    point = {name: np.float64(value) for name, value in weights.items()}
    with np.errstate(all="ignore"):
        values = forward(nodes, point)
        gradients = backward(nodes, values)
        places = varying(nodes)
        names = {place: f"v{order}" for order, place in enumerate(places, start=1)}
        passed = {user: slopes(nodes, values, user) for user in places}
        return [
            Link(
                names[place],
                _written(nodes[place], values, names),
                float(values[place]),
                float(gradients[place]),
                _chain(nodes, place, names, gradients, passed),
                float(difference(nodes, point, values, place)),
                tuple(dict.fromkeys(names[p] for p in operands(nodes[place]) if p in names)),
            )
            for place in places
        ]


def disagreement(links: Sequence[Link]) -> float:
    """Return the largest gap between a gradient and its difference, over the larger, or over 1."""
    gaps = [
        abs(link.gradient - link.difference) / max(1.0, abs(link.gradient), abs(link.difference))
        for link in links
    ]
    return float(np.max(gaps))


def _written(node: Node, values: Sequence[Numbers], names: Mapping[int, str]) -> str:
    if isinstance(node, Variable):
        return node.name
    places = operands(node)
    parts = [names[place] if place in names else f"{values[place]:.6g}" for place in places]
    if isinstance(node, Applied) and node.operation in FUNCTIONS:
        return f"{node.operation}({', '.join(parts)})"
    if isinstance(node, Applied) and node.operation in BINARY.values():
        return f" {node.operation} ".join(parts)
    return f"-{parts[0]}"


def _chain(
    nodes: Sequence[Node],
    place: int,
    names: Mapping[int, str],
    gradients: Sequence[Numbers],
    passed: Mapping[int, Sequence[Numbers]],
) -> str:
    """Return the sum of what the users of a node pass to it, "6 * 1 from v2"."""
    parts = [
        f"{gradients[user]:.6g} * {slope:.6g} from {names[user]}"
        for user in names
        for operand, slope in zip(operands(nodes[user]), passed[user], strict=True)
        if operand == place
    ]
    return " + ".join(parts) or "1, the loss itself"
