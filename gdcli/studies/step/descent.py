"""Gradient descent on a formula, step by step; its chain rule; and the same as a PyTorch script."""

from __future__ import annotations

import ast
import builtins
import keyword
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gdcli.formula import (
    BINARY,
    CONSTANTS,
    FUNCTIONS,
    Applied,
    Formula,
    Node,
    Variable,
    backward,
    difference,
    forward,
    operands,
    slopes,
    varying,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gdcli.formula import Numbers


@dataclass(frozen=True)
class DescentStep:
    """One step: where it begins, and by how much each weight moves; all by weight."""

    number: int
    weights: Mapping[str, float]
    loss: float
    gradient: Mapping[str, float]
    move: Mapping[str, float]  # learning rate times gradient
    updated: Mapping[str, float]

    @property
    def finite(self) -> bool:
        """Whether the loss and the updated weights are numbers."""
        return bool(np.isfinite([self.loss, *self.updated.values()]).all())


@dataclass(frozen=True)
class Descent:
    """The steps on a formula, up to the first that is not finite."""

    formula: Formula
    steps: tuple[DescentStep, ...]

    @property
    def points(self) -> list[dict[str, float]]:
        """The start, and the weights after each step."""
        return [dict(self.steps[0].weights), *(dict(step.updated) for step in self.steps)]

    @property
    def end(self) -> float:
        """The loss after the last step; it may be inf or nan."""
        return float(losses_at(self.formula, self.points[-1]))


def descend(formula: Formula, start: Mapping[str, float], lr: float, steps: int) -> Descent:
    """Return gradient descent from a start: the plain rule, weight - lr * gradient."""
    taken: list[DescentStep] = []
    weights = dict(start)
    while len(taken) < steps and (not taken or taken[-1].finite):
        taken.append(_step(formula, len(taken) + 1, weights, lr))
        weights = dict(taken[-1].updated)
    return Descent(formula, tuple(taken))


def losses_at(formula: Formula, weights: Mapping[str, Numbers | float]) -> Numbers:
    """Return the formula's values, elementwise over arrays of weights; they may be inf or nan."""
    with np.errstate(all="ignore"):
        return forward(formula.nodes, {n: np.float64(w) for n, w in weights.items()})[-1]


def _step(formula: Formula, number: int, weights: Mapping[str, float], lr: float) -> DescentStep:
    point = {name: np.float64(value) for name, value in weights.items()}
    with np.errstate(all="ignore"):
        values = forward(formula.nodes, point)
        gradients = backward(formula.nodes, values)
    # Where the formula has no value it has no slope: the rules alone may say one, as log's 1/w.
    undefined = np.isnan(values[-1])
    gradient = {
        name: float("nan") if undefined else float(gradients[formula.place(name)])
        for name in weights
    }
    move = {name: lr * slope for name, slope in gradient.items()}
    updated = {name: value - move[name] for name, value in weights.items()}
    return DescentStep(number, weights, float(values[-1]), gradient, move, updated)


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


OWN_NAMES = {"torch", "loss", "optimizer", "step", *dir(builtins), *keyword.softkwlist}
LARGE = 2**63  # PyTorch's integers are smaller
ELSEWHERE = {"max": "maximum", "min": "minimum", "softplus": "nn.functional.softplus"}


def torch_script(formula: Formula, start: Mapping[str, float], lr: float, steps: int) -> str:
    """Return a script that prints, for each step, its loss, gradients and updated weights."""
    names = {name: _free(name, formula.variables) for name in formula.variables}
    loss = ast.unparse(ast.fix_missing_locations(_InTorch(names).visit(_copy(formula.tree))))
    weights = ", ".join(names.values())
    lines = [
        "import torch",
        "",
        "torch.set_default_dtype(torch.float64)",
        *(f"{names[n]} = torch.tensor({start[n]!r}, requires_grad=True)" for n in names),
        f"optimizer = torch.optim.SGD([{weights}], lr={lr!r})",
        f"for step in range(1, {steps + 1}):",
        "    optimizer.zero_grad()",
        f"    loss = {loss}",
        "    loss.backward()",
        "    optimizer.step()",
        "    print(step, loss.item(), "
        + ", ".join(f"{name}.grad.item(), {name}.item()" for name in names.values())
        + ")",
    ]
    return "\n".join(lines) + "\n"


def _copy(tree: ast.expr) -> ast.expr:
    return ast.parse(ast.unparse(tree), mode="eval").body


def _free(name: str, taken: tuple[str, ...]) -> str:
    """Return a weight's name, with underscores where the script needs the name itself."""
    while name in OWN_NAMES or (name.endswith("_") and name in taken):
        name += "_"
    return name


class _InTorch(ast.NodeTransformer):
    """Turns the functions and constants of a formula into PyTorch's."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self.names = names

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        """Return a number; one that is not a 64-bit integer is a float in PyTorch, too."""
        large = isinstance(node.value, int) and abs(node.value) >= LARGE
        return _as_float(node) if large else node

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        """Return an operation; one on numbers alone is Python's own, on floats as here."""
        plain = node if _varies(node) else _Floats().visit(node)
        self.generic_visit(plain)
        return node

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return _torch(node.id) if node.id in CONSTANTS else ast.Name(self.names[node.id])

    def visit_Call(self, node: ast.Call) -> ast.expr:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        operands = [self._tensor(operand) for operand in node.args]
        return ast.Call(_torch(ELSEWHERE.get(name, name)), operands, [])

    def _tensor(self, operand: ast.expr) -> ast.expr:
        """Return an operand of a function of torch, which takes tensors alone."""
        varies = _varies(operand)
        inner: ast.expr = self.visit(operand)
        return inner if varies else ast.Call(_torch("tensor"), [inner], [])


class _Floats(ast.NodeTransformer):
    """Turns the integers of a formula into floats."""

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        """Return a number as a float."""
        return _as_float(node)


def _as_float(node: ast.Constant) -> ast.expr:
    return ast.Constant(float(ast.unparse(node)))


def _varies(part: ast.expr) -> bool:
    """Return whether a part of a formula has a weight in it."""
    names = {node.id for node in ast.walk(part) if isinstance(node, ast.Name)}
    return not names <= {*CONSTANTS, *FUNCTIONS}


def _torch(name: str) -> ast.expr:
    return ast.parse(f"torch.{name}", mode="eval").body
