"""Rosenbrock's function of two variables: a curved, flat valley between steep walls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Gt

from gdcli.problem import Array, Surface


@dataclass(frozen=True)
class Rosenbrock(Surface):
    """(1 - x)^2 + b (y - x^2)^2, minimal at (1, 1): Rosenbrock 1960, with his start and b."""

    start: Annotated[tuple[float, float], "starting point x,y"] = (-1.2, 1.0)
    b: Annotated[float, "steepness of the walls of the valley", Gt(0)] = 100.0

    default_lr: ClassVar[float] = 1e-3
    default_epochs: ClassVar[int] = 5000
    depth: ClassVar[float | None] = 0.0
    minima: ClassVar[tuple[tuple[float, float], ...]] = ((1.0, 1.0),)

    def height(self, x: Array, y: Array) -> Array:
        """Return the function's value."""
        short, off = 1 - x, y - x * x
        return short * short + self.b * off * off

    def slopes(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Return both partial derivatives."""
        off = 2 * self.b * (y - x * x)
        return -2 * (1 - x) - 2 * x * off, off
