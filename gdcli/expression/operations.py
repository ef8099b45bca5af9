"""What a formula may do: the value and the derivatives of each operation, elementwise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Numbers: TypeAlias = np.float64 | NDArray[np.float64]


@dataclass(frozen=True)
class Operation:
    """One operation; it follows IEEE 754: 1 / 0 is inf, log(-1) is nan, and nothing raises."""

    value: Callable[..., Numbers]
    slopes: Callable[..., tuple[Numbers, ...]]  # d value / d operand, from value and operands


ONE, ZERO = np.float64(1), np.float64(0)


def _power_slopes(value: Numbers, base: Numbers, exponent: Numbers) -> tuple[Numbers, Numbers]:
    """Return b a**(b-1) and a**b log a; where their limits are 0, the formulas may say nan."""
    by_base = np.where(exponent == 0, 0.0, exponent * base ** (exponent - 1))
    by_exponent = np.where((base == 0) & (exponent > 0), 0.0, value * np.log(base))
    return by_base[()], by_exponent[()]


def _above(a: Numbers, b: Numbers) -> Numbers:
    """Return 1 where a is above b, 0 where it is below, 0.5 where they are equal, as PyTorch."""
    above: Numbers = 0.5 + 0.5 * np.sign(a - b)
    return above


def _sigmoid(a: Numbers) -> Numbers:
    """Return 1 / (1 + exp(-a)), without its overflow."""
    share: Numbers = 0.5 + 0.5 * np.tanh(0.5 * a)
    return share


OPERATIONS: Mapping[str, Operation] = {
    "negative": Operation(np.negative, lambda *_: (-ONE,)),
    "+": Operation(np.add, lambda *_: (ONE, ONE)),
    "-": Operation(np.subtract, lambda *_: (ONE, -ONE)),
    "*": Operation(np.multiply, lambda _, a, b: (b, a)),
    "/": Operation(np.divide, lambda value, _, b: (1 / b, -value / b)),
    "**": Operation(np.power, _power_slopes),
    "abs": Operation(np.abs, lambda _, a: (np.sign(a),)),
    "cos": Operation(np.cos, lambda _, a: (-np.sin(a),)),
    "exp": Operation(np.exp, lambda value, _: (value,)),
    "log": Operation(np.log, lambda _, a: (1 / a,)),
    "max": Operation(np.maximum, lambda _, a, b: (_above(a, b), _above(b, a))),
    "min": Operation(np.minimum, lambda _, a, b: (_above(b, a), _above(a, b))),
    "relu": Operation(lambda a: np.maximum(a, ZERO), lambda _, a: (np.heaviside(a, ZERO),)),
    "sigmoid": Operation(_sigmoid, lambda value, _: (value * (1 - value),)),
    "sin": Operation(np.sin, lambda _, a: (np.cos(a),)),
    "softplus": Operation(lambda a: np.logaddexp(a, ZERO), lambda _, a: (_sigmoid(a),)),
    "sqrt": Operation(np.sqrt, lambda value, _: (0.5 / value,)),
    "tan": Operation(np.tan, lambda value, _: (1 + value * value,)),
    "tanh": Operation(np.tanh, lambda value, _: (1 - value * value,)),
}
