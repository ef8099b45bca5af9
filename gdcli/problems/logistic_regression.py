"""Predict one of two classes by a linear model: breast-cancer or a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from gdcli.arrays import namespace
from gdcli.datasets.tabular import TwoClasses
from gdcli.problem import L2, Array, Data, LinearModel

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class LogisticRegression(LinearModel, TwoClasses):
    """The mean of log(1 + exp(z)) - y z with targets y of 0 and 1 (Cox 1958).

    The default penalty is above 0, because without it the loss has no minimum if a plane separates
    the classes. In breast-cancer class 0 is malignant. In a file the larger value is class 1.
    """

    l2: L2 = 1e-3

    default_lr: ClassVar[float] = 0.1
    default_epochs: ClassVar[int] = 100
    metric_names: ClassVar[tuple[str, ...]] = ("accuracy",)
    likelihood: ClassVar[bool] = True
    bend: ClassVar[float | None] = 0.25

    @property
    def convex(self) -> bool:
        """True."""
        return True

    def load(self, rng: np.random.Generator) -> Data:
        """Return the split set: scaled features, and targets 0 or 1, (examples, 1)."""
        return self.load_classes(rng)

    def cost(self, z: Array, y: Array) -> Array:
        """Return log(1 + exp(z)) - y z, computed without overflow."""
        size = namespace(z).abs(z)
        return _cost(z, y, size, namespace(z).exp(-size))

    def slope(self, z: Array, y: Array) -> Array:
        """Return the predicted probability of class 1 minus the target."""
        xp = namespace(z)
        return _slope(z, y, xp.exp(-xp.abs(z)))

    def assess(self, z: Array, y: Array) -> tuple[Array, Array, dict[str, Array]]:
        """Return cost, slope and scores; cost and slope share an exponential."""
        size = namespace(z).abs(z)
        small = namespace(z).exp(-size)
        return _cost(z, y, size, small), _slope(z, y, small), self.scores(z, y)

    def bending(self, z: Array, y: Array, along: Array) -> Array:
        """Return the direction times p (1 - p), computed without overflow."""
        xp = namespace(z)
        small = xp.exp(-xp.abs(z))
        return along * small / ((1 + small) * (1 + small))

    def probabilities(self, z: Array) -> Array:
        """Return the probabilities of class 0 and class 1."""
        xp = namespace(z)
        small = xp.exp(-xp.abs(z))
        less, more = small / (1 + small), 1 / (1 + small)
        return xp.concat([xp.where(z >= 0, less, more), xp.where(z >= 0, more, less)], axis=-2)

    def scores(self, z: Array, y: Array) -> dict[str, Array]:
        """Return whether each prediction has the right sign."""
        right = (z > 0) == (y > 0.5)
        return {"accuracy": namespace(z).asarray(right[..., 0, :], dtype=z.dtype)}


def _cost(z: Array, y: Array, size: Array, small: Array) -> Array:
    """Return the cost, given the size of z and the exponential of the negative size."""
    return 0.5 * (z + size) - y * z + namespace(z).log1p(small)


def _slope(z: Array, y: Array, small: Array) -> Array:
    return namespace(z).where(z >= 0, 1.0, small) / (1 + small) - y
