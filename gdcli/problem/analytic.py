"""Functions in closed form."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from annotated_types import Ge

from gdcli.arrays import namespace
from gdcli.problem.contract import Array, Batch, Data, Params, Problem

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Analytic(Problem):
    """A function with its gradient in closed form, in array code.

    A point has shape (..., dimension, trials): `point[..., 0, :]` is the first coordinate of
    every trial. Batch arrays have shape (..., examples, dimension).
    """

    default_dtype: ClassVar[Literal["float32", "float64"]] = "float64"

    @abstractmethod
    def value(self, point: Array, batch: Batch) -> Array:
        """Return the mean loss over the batch, shape (..., trials)."""

    @abstractmethod
    def gradient(self, point: Array, batch: Batch) -> Array:
        """Return the gradient of `value`, of the point's shape."""

    def aligned(self, data: Data) -> tuple[Array, Data] | None:
        """Return a rotation, (dimension, dimension), to axes in which the problem is simpler.

        With it come the data of the rotated problem, which has the same losses, gradient norms
        and metrics at `rotation @ point` as this one has at `point`. None: there is none.
        """
        return None

    def curvature(self, batch: Batch) -> tuple[Array, Array] | None:
        """Return eigenvalues, (dimension, 1), and minimiser of a bowl along the axes.

        The minimiser broadcasts against a point. None: the function is something else.
        """
        return None

    def loss(self, params: Params, batch: Batch) -> Array:
        """Return the loss of one trial whose point has shape (dimension,)."""
        return self.value(params["point"][:, None], batch)[0]


@dataclass(frozen=True)
class Surface(Analytic):
    """A function of two variables, started from a given point."""

    start: Annotated[tuple[float, float], "starting point x,y"] = (1.0, 1.0)
    spread: Annotated[float, "standard deviation of the start around it", Ge(0)] = 0.0

    minima: ClassVar[tuple[tuple[float, float], ...]] = ()
    depth: ClassVar[float | None] = None  # the height at the minima
    metric_names: ClassVar[tuple[str, ...]] = ("distance",)

    @property
    def minimum(self) -> float | None:
        """The height at the minima."""
        return self.depth

    @abstractmethod
    def height(self, x: Array, y: Array) -> Array:
        """Return the function's value, elementwise."""

    @abstractmethod
    def slopes(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Return the two partial derivatives, elementwise."""

    def init(self, rng: np.random.Generator, data: Data) -> Params:
        """Return the start, moved by normal noise of the given spread."""
        return {"point": self.start + self.spread * rng.standard_normal(2)}

    def value(self, point: Array, batch: Batch) -> Array:
        """Return the height at each trial's point."""
        return self.height(point[..., 0, :], point[..., 1, :])

    def gradient(self, point: Array, batch: Batch) -> Array:
        """Return both partial derivatives at each trial's point."""
        dx, dy = self.slopes(point[..., 0, :], point[..., 1, :])
        return namespace(point).stack([dx, dy], axis=-2)

    def metrics(self, params: Params, batch: Batch) -> dict[str, Array]:
        """Return the distance to the nearest known minimum, shape (..., trials)."""
        if not self.minima:
            return {}
        x, y = params["point"][..., 0, :], params["point"][..., 1, :]
        gaps = [(x - a) * (x - a) + (y - b) * (y - b) for a, b in self.minima]
        xp = namespace(x)
        return {"distance": xp.sqrt(reduce(xp.minimum, gaps))}
