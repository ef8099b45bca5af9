"""What a formula may do: the value and the derivatives of each operation, elementwise."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from gdcli.arrays import namespace

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

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
