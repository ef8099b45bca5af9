"""Rastrigin's function of two variables: a bowl full of local minima."""

from __future__ import annotations

from dataclasses import dataclass
from math import pi
from typing import Annotated, ClassVar

from annotated_types import Ge

from gdcli.arrays import namespace
from gdcli.problem import Array, Surface


@dataclass(frozen=True)
class Rastrigin(Surface):
    """2 A + x^2 + y^2 - A (cos 2 pi x + cos 2 pi y), minimal at (0, 0): Rastrigin 1974.

    At small learning rates gradient descent ends in the local minimum nearest to its start. The
    default start leads to the global minimum. `distance` is the distance to the global minimum.
    """

    start: Annotated[tuple[float, float], "starting point x,y"] = (0.4, -0.3)
    amplitude: Annotated[float, "height A of the ripples", Ge(0)] = 10.0

    default_lr: ClassVar[float] = 1e-3
    default_epochs: ClassVar[int] = 50
    depth: ClassVar[float | None] = 0.0
    minima: ClassVar[tuple[tuple[float, float], ...]] = ((0.0, 0.0),)

    def height(self, x: Array, y: Array) -> Array:
        """Return the function's value."""
        cos = namespace(x).cos
        ripples = 2 - cos(2 * pi * x) - cos(2 * pi * y)
        return x * x + y * y + self.amplitude * ripples

    def slopes(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Return both partial derivatives."""
        sin, steep = namespace(x).sin, 2 * pi * self.amplitude
        return 2 * x + steep * sin(2 * pi * x), 2 * y + steep * sin(2 * pi * y)
