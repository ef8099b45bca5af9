"""Predict a number by least squares: diabetes, synthetic, or a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from gdcli.datasets.tabular import Measured
from gdcli.problem import Array, Data, LinearModel

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class LinearRegression(LinearModel, Measured):
    """Half the mean squared residual (Legendre 1805), so that the Hessian is X'X / n.

    In the synthetic set features and true weights are normal, the true bias is 0, and the targets
    have normal noise.
    """

    squared: ClassVar[bool] = True
    bend: ClassVar[float | None] = 1.0
    default_lr: ClassVar[float] = 0.1
    default_epochs: ClassVar[int] = 100

    def load(self, rng: np.random.Generator) -> Data:
        """Return the split set: scaled features, and unscaled targets, (examples, 1)."""
        return self.load_measurements(rng)

    def cost(self, z: Array, y: Array) -> Array:
        """Return half the squared residual."""
        return 0.5 * (z - y) * (z - y)

    def slope(self, z: Array, y: Array) -> Array:
        """Return the residual."""
        return z - y

    def bending(self, z: Array, y: Array, along: Array) -> Array:
        """Return the direction itself."""
        return along
