"""A formula as it was typed, read through an allow-list: nothing in it is ever executed."""

from __future__ import annotations

import ast
import itertools
import math
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field

from gdcli.errors import UserError
from gdcli.expression.nodes import Applied, Node, Number, Variable
from gdcli.fields import show, suggestion

WHERE = "EXPRESSION"
LONGEST = 1000  # characters
MOST_PARTS = 500  # operations, names and numbers
DEEPEST = 50  # parts inside of parts
ODD_NUMBER = re.compile(r"(?<![\w.])(\d\w*_\w*|0[xXoObB]\w*)|\.\d+_\w*")  # Python's alone
LARGEST_POWER = 100  # a constant exponent's size
CONSTANTS = {"pi": math.pi}
FUNCTIONS = {  # how many operands each takes
    **dict.fromkeys(("abs", "cos", "exp", "log", "relu", "sigmoid", "sin"), 1),
    **dict.fromkeys(("softplus", "sqrt", "tan", "tanh"), 1),
    **dict.fromkeys(("max", "min"), 2),
}
BINARY: Mapping[type[ast.operator], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.Pow: "**",
}
ALLOWED = f"write numbers, names, + - * / ** and {', '.join(sorted(FUNCTIONS))}"


@dataclass(frozen=True)
class Formula:
    """A formula, checked: as Python's syntax tree, and as a graph in which nothing is twice.

    The graph's last node is the formula's value.
    """

    tree: ast.expr
    nodes: tuple[Node, ...]

    @property
    def variables(self) -> tuple[str, ...]:
        """The names of the variables, in the order in which the formula has them."""
        return tuple(node.name for node in self.nodes if isinstance(node, Variable))

    def place(self, name: str) -> int:
        """Return the place of a variable among the nodes."""
        return self.nodes.index(Variable(name))


def parse(text: str) -> Formula:
    """Return a formula; raises UserError for anything but arithmetic on numbers and names."""
    tree = _tree(text)
    _check_size(tree)
    if odd := ODD_NUMBER.search(text):
        raise UserError(WHERE, f"{show(odd[0])} is no plain number", "write it as 1000 or 1e3")
    reader = _Reader(text)
    reader.place(tree)
    formula = Formula(tree, tuple(reader.places))
    if not formula.variables:
        fix = "use a name for each weight, as in (w - 2)**2"
        raise UserError(WHERE, f"{show(text)} has no weight to change", fix)
    return formula


def _tree(text: str) -> ast.expr:
    if len(text) > LONGEST:
        raise UserError(WHERE, f"it has {len(text)} characters", f"give at most {LONGEST}")
    if not (text.isascii() and text.isprintable()):
        raise UserError(WHERE, f"{show(text)} has characters other than ASCII's", ALLOWED)
    try:
        with warnings.catch_warnings():  # of a number that runs into a name, as in 2if
            warnings.simplefilter("ignore")
            return ast.parse(text.strip(), mode="eval").body
    except SyntaxError as error:
        where = f" at column {error.offset}" if error.offset else ""
        fix = "write it as in (w - 2)**2 + 3*v"
        raise UserError(WHERE, f"{show(text)} is not a formula{where}", fix) from None
    except (MemoryError, RecursionError):
        fix = "use fewer parentheses"
        raise UserError(WHERE, f"{show(text)} is nested too deeply", fix) from None


def _check_size(tree: ast.expr) -> None:
    level: list[ast.AST] = [tree]
    parts = 0
    for depth in itertools.count(1):
        level = [child for part in level for child in ast.iter_child_nodes(part)]
        parts += sum(isinstance(part, ast.expr) for part in level)
        if depth > DEEPEST or parts > MOST_PARTS:
            most = f"{MOST_PARTS} operations, names and numbers, or {DEEPEST} of them nested"
            raise UserError(WHERE, f"it has more than {most}", "give a shorter one")
        if not level:
            return


@dataclass
class _Reader:
    """Turns a syntax tree into a graph: equal parts become one node."""

    text: str
    places: dict[Node, int] = field(default_factory=dict)

    def place(self, part: ast.expr) -> int:
        """Return the place of a part of the formula, after that of all it needs."""
        while isinstance(part, ast.UnaryOp) and isinstance(part.op, ast.UAdd):
            part = part.operand
        return self.places.setdefault(self._node(part), len(self.places))

    def _node(self, part: ast.expr) -> Node:
        match part:
            case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
                return self._number(value, part)
            case ast.Name(id=name):
                return self._name(name, part)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return Applied("negative", (self.place(operand),))
            case ast.BinOp(op=op, left=left, right=right) if type(op) in BINARY:
                self._check_power(op, right)
                return Applied(BINARY[type(op)], (self.place(left), self.place(right)))
            case ast.Call(func=ast.Name(id=name), args=operands, keywords=[]):
                return self._call(name, operands, part)
            case ast.BinOp(op=ast.BitXor()):
                raise self._error(part, "^ is not a power", "use ** for powers")
        raise self._error(part, "this is not arithmetic", ALLOWED)

    def _number(self, value: float, part: ast.expr) -> Number:
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isinf(number):
            raise self._error(part, "this number is too large", "give one below 1e308")
        return Number(number)

    def _name(self, name: str, part: ast.expr) -> Number | Variable:
        if name in CONSTANTS:
            return Number(CONSTANTS[name])
        if name in FUNCTIONS:
            fix = f"write {name}(...)" if FUNCTIONS[name] == 1 else f"write {name}(..., ...)"
            raise self._error(part, f"{name} is a function", fix)
        if name.startswith("_"):
            raise self._error(part, "a name begins with a letter", "choose another name")
        return Variable(name)

    def _call(self, name: str, operands: list[ast.expr], part: ast.expr) -> Applied:
        if name not in FUNCTIONS:
            fix = suggestion(name, list(FUNCTIONS)) or f"there are {', '.join(sorted(FUNCTIONS))}"
            raise self._error(part, f"there is no function {name}", fix)
        if len(operands) != FUNCTIONS[name]:
            wanted = f"give it {FUNCTIONS[name]}"
            raise self._error(part, f"{name} has {len(operands)} operands", wanted)
        return Applied(name, tuple(map(self.place, operands)))

    def _check_power(self, op: ast.operator, exponent: ast.expr) -> None:
        number = exponent.operand if isinstance(exponent, ast.UnaryOp) else exponent
        if isinstance(op, ast.Pow) and isinstance(number, ast.Constant):
            node = self._node(number)
            if isinstance(node, Number) and node.value > LARGEST_POWER:
                fix = f"use powers up to {LARGEST_POWER}"
                raise self._error(exponent, "this power is too large", fix)

    def _error(self, part: ast.expr, what: str, fix: str) -> UserError:
        source = ast.get_source_segment(self.text.strip(), part) or ""
        return UserError(WHERE, f"{show(source)} at column {part.col_offset + 1}: {what}", fix)
