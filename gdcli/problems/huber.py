"""Predict a number with little harm from outliers (Huber): diabetes, synthetic, or a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Gt

from gdcli.arrays import namespace
from gdcli.datasets.tabular import Measured
from gdcli.problem import Array, Data, LinearModel

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Huber(LinearModel, Measured):
    """Half the squared residual up to delta, and linear beyond it (Huber 1964).

    The slope of an outlier's loss is at most delta. For large delta the loss is that of
    linear-regression. Both problems have the same data sets.
    """

    delta: Annotated[
        float,
        "residual, in units of the target, above which the loss grows linearly instead of "
        "quadratically",
        Gt(0),
    ] = 50.0

    bend: ClassVar[float | None] = 1.0
    default_lr: ClassVar[float] = 0.1
    default_epochs: ClassVar[int] = 100

    @property
    def convex(self) -> bool:
        """True."""
        return True

    def load(self, rng: np.random.Generator) -> Data:
        """Return the split set: scaled features, and unscaled targets, (examples, 1)."""
        return self.load_measurements(rng)

    def cost(self, z: Array, y: Array) -> Array:
        """Return r^2 / 2 for residuals r up to delta, else delta (|r| - delta / 2)."""
        xp = namespace(z)
        size = xp.abs(z - y)
        inner = xp.clip(size, None, self.delta)
        return inner * (size - 0.5 * inner)

    def slope(self, z: Array, y: Array) -> Array:
        """Return the residual, limited to [-delta, delta]."""
        return namespace(z).clip(z - y, -self.delta, self.delta)

    def bending(self, z: Array, y: Array, along: Array) -> Array:
        """Return the direction where the residual is within delta, else 0."""
        xp = namespace(z)
        return xp.where(xp.abs(z - y) <= self.delta, along, 0 * along)
