"""Least squares on diabetes, a synthetic set, or a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from annotated_types import Ge

from gdcli.datasets.source import Source
from gdcli.datasets.split import prepare
from gdcli.problem import Array, Data, LinearModel

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class LinearRegression(LinearModel, Source):
    """Half the mean squared residual (Legendre 1805), so that the Hessian is X'X / n.

    The synthetic set has normal features and a normal true weight each, no offset, and normal
    noise on the targets.
    """

    dataset: Annotated[Literal["diabetes", "synthetic"], "named data set"] = "diabetes"
    examples: Annotated[int, "examples of the synthetic set", Ge(1)] = 1000
    features: Annotated[int, "features of the synthetic set", Ge(1)] = 10
    noise: Annotated[float, "standard deviation of the synthetic targets' noise", Ge(0)] = 0.1

    squared: ClassVar[bool] = True
    bend: ClassVar[float | None] = 1.0
    default_lr: ClassVar[float] = 0.1
    default_epochs: ClassVar[int] = 100

    def load(self, rng: np.random.Generator) -> Data:
        """Return the split set: features, scaled, and targets as they are, (examples, 1)."""
        drawn = self.dataset == "synthetic" and self.data is None
        x, y = self._draw(rng) if drawn else self.measured()
        return prepare(x, y[:, None], self.test_fraction, self.scale, rng)

    def _draw(self, rng: np.random.Generator) -> tuple[Array, Array]:
        x = rng.standard_normal((self.examples, self.features))
        weight = rng.standard_normal(self.features)
        return x, x @ weight + self.noise * rng.standard_normal(self.examples)

    def cost(self, z: Array, y: Array) -> Array:
        """Return half the squared residual."""
        return 0.5 * (z - y) * (z - y)

    def slope(self, z: Array, y: Array) -> Array:
        """Return the residual."""
        return z - y

    def bending(self, z: Array, y: Array, along: Array) -> Array:
        """Return the direction itself."""
        return along
