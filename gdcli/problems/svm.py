"""Predict one of two classes with a wide margin (linear SVM): breast-cancer or a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from gdcli.arrays import namespace
from gdcli.datasets.tabular import TwoClasses
from gdcli.problem import L2, Array, Data, LinearModel

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Svm(LinearModel, TwoClasses):
    """The mean of max(0, 1 - s z) with s = -1 or 1 (Cortes and Vapnik 1995), or of its square.

    The plain hinge has a kink at s z = 1. The slope there is 0, the subgradient of examples outside
    of the margin. The default penalty is above 0, because it makes the margin wide.
    """

    l2: L2 = 1e-2
    hinge: Annotated[
        Literal["plain", "squared"],
        "cost of a violated margin: plain, it grows linearly; squared, quadratically",
    ] = "plain"

    default_lr: ClassVar[float] = 0.01
    default_epochs: ClassVar[int] = 100
    metric_names: ClassVar[tuple[str, ...]] = ("accuracy",)

    @property
    def convex(self) -> bool:
        """True for the squared hinge; the plain hinge has kinks."""
        return self.hinge == "squared"

    def load(self, rng: np.random.Generator) -> Data:
        """Return the split set: scaled features, and targets 0 or 1, (examples, 1)."""
        return self.load_classes(rng)

    def cost(self, z: Array, y: Array) -> Array:
        """Return the violation of each margin, or its square."""
        short = self._short(z, y)
        return short * short if self.hinge == "squared" else short

    def slope(self, z: Array, y: Array) -> Array:
        """Return -s where the margin is violated; for the squared hinge times 2 (1 - s z)."""
        short, side = self._short(z, y), 2 * y - 1
        if self.hinge == "squared":
            return -2 * side * short
        return namespace(z).where(short > 0, -side, 0 * side)

    def bending(self, z: Array, y: Array, along: Array) -> Array:
        """Return twice the direction where a squared margin is violated; 0 for the plain hinge."""
        bent = 2.0 if self.hinge == "squared" else 0.0
        return namespace(z).where(self._short(z, y) > 0, bent * along, 0 * along)

    def _short(self, z: Array, y: Array) -> Array:
        """Return max(0, 1 - s z)."""
        return namespace(z).clip(1 - (2 * y - 1) * z, 0, None)

    def scores(self, z: Array, y: Array) -> dict[str, Array]:
        """Return whether each prediction has the right sign."""
        right = (z > 0) == (y > 0.5)
        return {"accuracy": namespace(z).asarray(right[..., 0, :], dtype=z.dtype)}
