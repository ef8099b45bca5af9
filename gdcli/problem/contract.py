"""What every problem is: its data, its starting points and its loss.

What a problem with classes does about rare ones.

Functions in closed form.

Linear predictions, and what one of them costs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import reduce
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeAlias

from annotated_types import Ge

from gdcli.arrays import namespace
from gdcli.fields import LATER

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

# NumPy on the CPU, torch elsewhere: the array API has no static type that both satisfy.
Array: TypeAlias = Any
Params: TypeAlias = dict[str, Array]
Batch: TypeAlias = dict[str, Array]


@dataclass(frozen=True)
class Data:
    """Training and test examples: NumPy arrays by name, their first axis the example.

    Both parts are empty for a pure function; the test part is empty where nothing was held out.
    `constants` (a Hessian, say) join every batch whole, on the device of the run. `order` has, for
    each training example, its index among the rows that were read, where that is known.
    """

    train: Batch = field(default_factory=dict)
    test: Batch = field(default_factory=dict)
    constants: Batch = field(default_factory=dict)
    # What each class is called, where that is known.
    classes: tuple[str, ...] = field(default=(), kw_only=True)
    order: Array | None = field(default=None, kw_only=True)

    @property
    def examples(self) -> int:
        """The number of training examples; a pure function counts as one."""
        return len(next(iter(self.train.values()))) if self.train else 1


@dataclass(frozen=True)
class Problem(ABC):
    """A loss to minimise, its data and its starting points."""

    default_lr: ClassVar[float] = 0.1  # one at which gradient descent converges
    default_epochs: ClassVar[int] = 50
    default_dtype: ClassVar[Literal["float32", "float64"]] = "float32"
    vectorized: ClassVar[bool] = True  # False: trials run one by one
    metric_names: ClassVar[tuple[str, ...]] = ()  # the metrics there may be, in their order
    constant: ClassVar[str] = ""  # part of the loss that its gradient takes for a constant
    packages: ClassVar[tuple[str, ...]] = ()  # further ones whose version the results depend on

    @property
    def curve_columns(self) -> tuple[str, ...]:
        """The columns of a curve besides the losses and the gradient norm."""
        return self.metric_names

    @property
    def minimum(self) -> float | None:
        """The least training loss there is, where it is known."""
        return None

    @classmethod
    def decided(cls, options: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG003 -- here nothing
        """Return, by field, options that the user left out and that a data file decides.

        They are asked for once, where an experiment is made: a run's folder has them as if given.
        """
        return {}

    def load(self, rng: np.random.Generator) -> Data:
        """Return the examples; whatever is drawn (labels, a split) comes from `rng`."""
        return Data()

    @abstractmethod
    def init(self, rng: np.random.Generator, data: Data) -> Params:
        """Return one trial's starting point: float64 NumPy arrays by name."""

    @abstractmethod
    def loss(self, params: Params, batch: Batch) -> Array:
        """Return the mean loss over the batch, a scalar tensor of one trial."""

    def metrics(self, params: Params, batch: Batch) -> dict[str, Array]:
        """Return further scalars worth recording, by column name."""
        return {}


def of_both_parts(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the columns of metrics that training and test examples both have."""
    return tuple(f"{part}_{name}" for name in names for part in ("train", "test"))


@dataclass(frozen=True, kw_only=True)
class OfClasses:
    """The options of a problem that predicts a class."""

    class_weights: Annotated[
        Literal["none", "balanced"],
        LATER,
        "weigh each example by n / (classes x examples of its class), of the training part",
    ] = "none"
    balanced_accuracy: Annotated[
        bool,
        LATER,
        "record the mean recall of the classes, too; so do --class-weights and --stratify",
    ] = False

    @property
    def weighs(self) -> bool:
        """Whether the loss weighs the examples by their classes."""
        return self.class_weights == "balanced"

    @property
    def recalls(self) -> bool:
        """Whether the mean recall of the classes is recorded beside the accuracy."""
        return self.weighs or True in (self.balanced_accuracy, getattr(self, "stratify", False))

    @property
    def of_rare_classes(self) -> tuple[str, ...]:
        """The measures that are recorded beside the accuracy."""
        return ("balanced_accuracy",) if self.recalls else ()


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
