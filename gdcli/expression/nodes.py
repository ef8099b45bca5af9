"""What a formula is made of: a graph of numbers, weights and operations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


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
