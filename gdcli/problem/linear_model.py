"""Linear predictions, and what one of them costs."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from annotated_types import Ge

from gdcli.problem.classes import OfClasses
from gdcli.problem.contract import Array, Batch, Data, Params, Problem, of_both_parts

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class LinearModel(Problem):
    """Predictions z = X W + b; the problem says only what one prediction costs.

    Data: "x" of shape (examples, features), "y" of shape (examples, outputs). Predictions and
    targets have shape (..., outputs, columns), a column for each example of each trial:
    elementwise code need not know.
    """

    l2: Annotated[float, "L2 penalty: l2 / 2 times the squared weights", Ge(0)] = 0.0
    init_scale: Annotated[float, "standard deviation of the starting weights", Ge(0)] = 0.1

    default_dtype: ClassVar[Literal["float32", "float64"]] = "float64"
    squared: ClassVar[bool] = False  # the cost is half the squared residual
    bend: ClassVar[float | None] = None  # the largest second derivative of the cost, where known

    @abstractmethod
    def cost(self, z: Array, y: Array) -> Array:
        """Return what each prediction costs; the engine sums it over the outputs."""

    @abstractmethod
    def slope(self, z: Array, y: Array) -> Array:
        """Return d cost / d z, of the shape of z."""

    def bending(self, z: Array, y: Array, along: Array) -> Array | None:
        """Return the derivative of `slope` along a direction of z, of the shape of z.

        It is what sharpness is measured by. None: the engine takes a difference of two slopes.
        """
        return None

    @property
    def convex(self) -> bool:
        """Whether the cost is convex and differentiable, and has `bending`.

        Then Newton's method finds the least training loss.
        """
        return False

    @property
    def curve_columns(self) -> tuple[str, ...]:
        """Every metric of the training and of the test examples."""
        rare = self.of_rare_classes if isinstance(self, OfClasses) else ()
        return of_both_parts((*self.metric_names, *rare))

    def scores(self, z: Array, y: Array) -> dict[str, Array]:
        """Return measures of each prediction by name, shape (..., columns), to be averaged."""
        return {}

    def probabilities(self, z: Array) -> Array | None:
        """Return the probability of each class, (..., classes, columns); None: no classifier."""
        return None

    def assess(self, z: Array, y: Array) -> tuple[Array, Array, dict[str, Array]]:
        """Return cost, slope and scores; a problem may have them share their work."""
        return self.cost(z, y), self.slope(z, y), self.scores(z, y)

    def init(self, rng: np.random.Generator, data: Data) -> Params:
        """Return normal weights of the given scale and zero biases."""
        shape = data.train["x"].shape[1], data.train["y"].shape[1]
        weight = self.init_scale * rng.standard_normal(shape)
        return {"weight": weight, "bias": 0.0 * weight[0]}

    def loss(self, params: Params, batch: Batch) -> Array:
        """Return the loss of one trial: weight (features, outputs), bias (outputs,)."""
        z = batch["x"] @ params["weight"] + params["bias"]
        cost = self.cost(z[..., None], batch["y"][..., None])
        return cost.sum() / cost.shape[0] + 0.5 * self.l2 * (params["weight"] ** 2).sum()
