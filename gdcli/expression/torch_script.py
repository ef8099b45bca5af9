"""The same descent as a PyTorch script of some ten lines."""

from __future__ import annotations

import ast
import builtins
import keyword
from collections.abc import Mapping

from gdcli.expression.formula import CONSTANTS, FUNCTIONS, Formula

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
        """Return a number; one that is no 64-bit integer is a float in PyTorch, too."""
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
        """Return an operand of a function, which takes no plain number."""
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
