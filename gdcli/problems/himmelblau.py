"""Himmelblau's function of two variables: four equal minima; the start decides which."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from gdcli.problem import Array, Surface


@dataclass(frozen=True)
class Himmelblau(Surface):
    """(x^2 + y - 11)^2 + (x + y^2 - 7)^2: Himmelblau, Applied Nonlinear Programming, 1972."""

    start: Annotated[tuple[float, float], "starting point x,y"] = (0.0, 0.0)

    default_lr: ClassVar[float] = 0.01
    default_epochs: ClassVar[int] = 100
    depth: ClassVar[float | None] = 0.0
    minima: ClassVar[tuple[tuple[float, float], ...]] = (
        (3.0, 2.0),
        (-2.805118086952745, 3.131312518250573),
        (-3.779310253377747, -3.2831859912861696),
        (3.5844283403304917, -1.8481265269644036),
    )

    def height(self, x: Array, y: Array) -> Array:
        """Return the function's value."""
        first, second = x * x + y - 11, x + y * y - 7
        return first * first + second * second

    def slopes(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Return both partial derivatives."""
        first, second = x * x + y - 11, x + y * y - 7
        return 4 * x * first + 2 * second, 2 * first + 4 * y * second
