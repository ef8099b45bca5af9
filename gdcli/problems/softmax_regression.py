"""Predict one of several classes by a linear model: digits, iris, wine, images, or a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from gdcli.arrays import namespace
from gdcli.datasets.cells import with_one_hot
from gdcli.datasets.images import Classified
from gdcli.problem import L2, Array, Data, LinearModel

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class SoftmaxRegression(LinearModel, Classified):
    """The mean cross-entropy of a linear prediction for each class (Cox 1966, Theil 1969).

    The default penalty is above 0, because without it the loss has no minimum if planes separate
    the classes.
    """

    l2: L2 = 1e-3

    default_lr: ClassVar[float] = 0.1
    default_epochs: ClassVar[int] = 100
    metric_names: ClassVar[tuple[str, ...]] = ("accuracy",)
    likelihood: ClassVar[bool] = True
    bend: ClassVar[float | None] = 0.5

    @property
    def convex(self) -> bool:
        """True."""
        return True

    def load(self, rng: np.random.Generator) -> Data:
        """Return the split set: scaled features, and one-hot targets, (examples, classes)."""
        return with_one_hot(self.load_classes(rng))

    def cost(self, z: Array, y: Array) -> Array:
        """Return log(sum(exp(z))) minus z of the right class, shape (..., 1, trials)."""
        return self.assess(z, y)[0]

    def slope(self, z: Array, y: Array) -> Array:
        """Return the predicted probabilities minus the targets."""
        return self.probabilities(z) - y

    def probabilities(self, z: Array) -> Array:
        """Return the softmax of the predictions."""
        xp = namespace(z)
        likely = xp.exp(z - xp.max(z, axis=-2, keepdims=True))
        return likely / xp.sum(likely, axis=-2, keepdims=True)

    def bending(self, z: Array, y: Array, along: Array) -> Array:
        """Return p times (the direction minus its mean under p)."""
        xp = namespace(z)
        likely = self.probabilities(z)
        return likely * (along - xp.sum(likely * along, axis=-2, keepdims=True))

    def scores(self, z: Array, y: Array) -> dict[str, Array]:
        """Return whether the right class has the largest prediction, without a tie."""
        return self.assess(z, y)[2]

    def assess(self, z: Array, y: Array) -> tuple[Array, Array, dict[str, Array]]:
        """Return cost, slope and scores; they share one exponential of each prediction."""
        xp = namespace(z)
        shifted = z - xp.max(z, axis=-2, keepdims=True)
        right = xp.sum(y * shifted, axis=-2, keepdims=True)
        best = xp.sum(shifted >= right, axis=-2) == 1
        likely = xp.exp(shifted)
        total = xp.sum(likely, axis=-2, keepdims=True)
        scores = {"accuracy": xp.asarray(best, dtype=z.dtype)}
        return xp.log(total) - right, likely / total - y, scores
