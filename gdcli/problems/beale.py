"""Beale's function of two variables: a plateau with sharp ridges at the corners."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gdcli.problem import Array, Surface


@dataclass(frozen=True)
class Beale(Surface):
    """The sum over k = 1, 2, 3 of (c_k - x + x y^k)^2, c = 1.5, 2.25, 2.625; least at (3, 0.5).

    Beale 1958; More, Garbow and Hillstrom, ACM Transactions on Mathematical Software 1981, 5.
    """

    default_lr: ClassVar[float] = 0.01
    default_epochs: ClassVar[int] = 1000
    depth: ClassVar[float | None] = 0.0
    minima: ClassVar[tuple[tuple[float, float], ...]] = ((3.0, 0.5),)

    def height(self, x: Array, y: Array) -> Array:
        """Return the function's value."""
        first, second, third = _residuals(x, y)
        return first * first + second * second + third * third

    def slopes(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Return both partial derivatives."""
        first, second, third = _residuals(x, y)
        dx = first * (y - 1) + second * (y * y - 1) + third * (y * y * y - 1)
        dy = x * (first + second * 2 * y + third * 3 * y * y)
        return 2 * dx, 2 * dy


def _residuals(x: Array, y: Array) -> tuple[Array, Array, Array]:
    return 1.5 - x + x * y, 2.25 - x + x * y * y, 2.625 - x + x * y * y * y
