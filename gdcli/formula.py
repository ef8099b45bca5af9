"""A loss written as a formula: read through an allow-list, and differentiated node by node.

Nothing of the text is ever executed. A formula becomes a graph of numbers, weights and operations;
its value is computed forward, its gradient backward. Operations work elementwise on arrays.
"""

from __future__ import annotations

import ast
import itertools
import math
import operator
import re
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from gdcli.arrays import namespace
from gdcli.errors import UserError
from gdcli.fields import show, suggestion

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Number:
    """A constant."""

    value: float


@dataclass(frozen=True)
class Variable:
    """A weight."""

    name: str


@dataclass(frozen=True)
class Applied:
    """An operation on earlier nodes."""

    operation: str  # "+", "negative" or a function's name
    operands: tuple[int, ...]  # their places in the graph


Node: TypeAlias = Number | Variable | Applied


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
        raise UserError(WHERE, f"{show(odd[0])} is not a plain number", "write it as 1000 or 1e3")
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


# Of NumPy here; of whichever library a point is, where a problem has the formula.
Numbers: TypeAlias = "np.float64 | NDArray[np.float64]"


@dataclass(frozen=True)
class Operation:
    """One operation; it follows IEEE 754: 1 / 0 is inf, log(-1) is nan, and nothing raises."""

    value: Callable[..., Numbers]
    slopes: Callable[..., tuple[Any, ...]]  # d value / d operand, from value and operands


def _named(name: str) -> Callable[..., Any]:
    """Return a function of the array library that its operands are of."""
    return lambda *operands: getattr(namespace(operands[0]), name)(*operands)


_abs, _cos, _exp, _log, _sign, _sin = map(_named, ("abs", "cos", "exp", "log", "sign", "sin"))
_sqrt, _tan, _tanh, _zeros = map(_named, ("sqrt", "tan", "tanh", "zeros_like"))
_logaddexp, _maximum, _minimum, _power = map(_named, ("logaddexp", "maximum", "minimum", "pow"))


def _power_slopes(value: Numbers, base: Numbers, exponent: Numbers) -> tuple[Numbers, Numbers]:
    """Return b a**(b-1) and a**b log a; where their limits are 0, the formulas may say nan."""
    where, zero = namespace(base).where, _zeros(value)
    by_base = where(exponent == 0, zero, exponent * _power(base, exponent - 1))
    by_exponent = where((base == 0) & (exponent > 0), zero, value * _log(base))
    return by_base[()], by_exponent[()]


def _above(a: Numbers, b: Numbers) -> Numbers:
    """Return 1 where a is above b, 0 where it is below, 0.5 where they are equal, as PyTorch."""
    above: Numbers = 0.5 + 0.5 * _sign(a - b)
    return above


def _relu(a: Numbers) -> Numbers:
    positive: Numbers = _maximum(a, _zeros(a))
    return positive


def _sigmoid(a: Numbers) -> Numbers:
    """Return 1 / (1 + exp(-a)), without its overflow."""
    share: Numbers = 0.5 + 0.5 * _tanh(0.5 * a)
    return share


OPERATIONS: Mapping[str, Operation] = {
    "negative": Operation(operator.neg, lambda *_: (-1.0,)),
    "+": Operation(operator.add, lambda *_: (1.0, 1.0)),
    "-": Operation(operator.sub, lambda *_: (1.0, -1.0)),
    "*": Operation(operator.mul, lambda _, a, b: (b, a)),
    "/": Operation(operator.truediv, lambda value, _, b: (1 / b, -value / b)),
    "**": Operation(_power, _power_slopes),
    "abs": Operation(_abs, lambda _, a: (_sign(a),)),
    "cos": Operation(_cos, lambda _, a: (-_sin(a),)),
    "exp": Operation(_exp, lambda value, _: (value,)),
    "log": Operation(_log, lambda _, a: (1 / a,)),
    "max": Operation(_maximum, lambda _, a, b: (_above(a, b), _above(b, a))),
    "min": Operation(_minimum, lambda _, a, b: (_above(b, a), _above(a, b))),
    "relu": Operation(_relu, lambda _, a: (_relu(_sign(a)),)),
    "sigmoid": Operation(_sigmoid, lambda value, _: (value * (1 - value),)),
    "sin": Operation(_sin, lambda _, a: (_cos(a),)),
    "softplus": Operation(lambda a: _logaddexp(a, _zeros(a)), lambda _, a: (_sigmoid(a),)),
    "sqrt": Operation(_sqrt, lambda value, _: (0.5 / value,)),
    "tan": Operation(_tan, lambda value, _: (1 + value * value,)),
    "tanh": Operation(_tanh, lambda value, _: (1 - value * value,)),
}


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
