"""Function of two variables with a saddle at the origin, between two minima."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from gdcli.problem import Array, Surface


@dataclass(frozen=True)
class Saddle(Surface):
    """x^2 / 2 + y^4 / 4 - y^2 / 2: Nesterov, Introductory Lectures, 2004, example 1.2.2.

    From a start with y = 0 gradient descent ends at the saddle point. The default start has a
    small y: descent slows down near the saddle point, then goes to (0, 1), where the loss is -1/4.
    """

    start: Annotated[tuple[float, float], "starting point x,y"] = (1.0, 0.01)

    default_lr: ClassVar[float] = 0.1
    default_epochs: ClassVar[int] = 100
    depth: ClassVar[float | None] = -0.25
    minima: ClassVar[tuple[tuple[float, float], ...]] = ((0.0, 1.0), (0.0, -1.0))

    def height(self, x: Array, y: Array) -> Array:
        """Return the function's value."""
        return 0.5 * x * x + 0.25 * y * y * (y * y - 2)

    def slopes(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Return both partial derivatives."""
        return x, y * (y * y - 1)
