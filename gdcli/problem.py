"""What is minimised: the contract of a problem and of its five families.

Problem             any loss in PyTorch: differentiated by autograd under torch.func.vmap
├── Analytic        value and gradient in closed form (quadratic, rosenbrock, ...)
│   └── Surface     a function of two variables, with a starting point
├── LinearModel     predictions X W + b and what one prediction costs (least squares, softmax, ...)
├── Network         a torch.nn.Module and a criterion (mlp, cnn)
└── StatefulNetwork a module with a loss of its own, trained alone (yolo26)

A problem is a frozen dataclass: its fields are its options. It is written for one trial; the
engine adds the axis of trials. The more specific the family, the faster it runs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import reduce
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeAlias

from annotated_types import Ge, Le

from gdcli.arrays import namespace
from gdcli.fields import LATER

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

# NumPy on the CPU, torch elsewhere: the array API has no static type that both satisfy.
Array: TypeAlias = Any
Params: TypeAlias = dict[str, Array]
Batch: TypeAlias = dict[str, Array]


BITS = 8  # of a rounded number, unless it is said


@dataclass(frozen=True)
class Data:
    """Training and test examples: NumPy arrays by name, their first axis the example.

    Both parts are empty for a pure function; the test part is empty where nothing was held out.
    `constants` (a Hessian, say) join every batch whole, on the device of the run.
    """

    train: Batch = field(default_factory=dict)
    test: Batch = field(default_factory=dict)
    constants: Batch = field(default_factory=dict)

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
    dtypes: ClassVar[tuple[str, ...]] = ("float32", "float64")  # what it can be computed in
    packages: ClassVar[tuple[str, ...]] = ()  # further ones whose version the results depend on

    @property
    def curve_columns(self) -> tuple[str, ...]:
        """The columns of a curve besides the losses and the gradient norm."""
        return self.metric_names

    @property
    def minimum(self) -> float | None:
        """The least training loss there is, where it is known."""
        return None

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
    def curve_columns(self) -> tuple[str, ...]:
        """Every metric of the training and of the test examples."""
        return of_both_parts(self.metric_names)

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


@dataclass(frozen=True)
class Network(Problem):
    """A PyTorch module and a criterion.

    Data: "x", one example a row; "y", class indices of shape (examples,) for cross_entropy, or
    targets of shape (examples, outputs) for mse. The engine draws the starting parameters.
    """

    l2: Annotated[float, "L2 penalty: l2 / 2 times the squared weights", Ge(0)] = 0.0
    quantize: Annotated[
        Literal["none", "ptq", "qat"],
        LATER,
        "round weights and activations: not at all, after training, or while training",
    ] = "none"
    weight_bits: Annotated[int | None, LATER, "bits of a rounded weight; 8", Ge(2), Le(8)] = None
    activation_bits: Annotated[
        int | None, LATER, "bits of a rounded activation, 32 for none rounded; 8", Ge(2), Le(32)
    ] = None
    float_epochs: Annotated[
        int | None, LATER, "epochs that qat trains in floats before it rounds; 0", Ge(0)
    ] = None

    criterion: ClassVar[str] = "cross_entropy"

    def __post_init__(self) -> None:
        """Fill in the bits where something is rounded, and take them out where nothing is.

        Trials that differ in nothing else are then one.
        """
        if check := getattr(super(), "__post_init__", None):
            check()  # of where the examples come from
        rounds, trains = self.quantize != "none", self.quantize == "qat"
        settings = {
            "weight_bits": self.weight_bits or BITS if rounds else None,
            "activation_bits": self.activation_bits or BITS if rounds else None,
            "float_epochs": self.float_epochs or 0 if trains else None,
        }
        for name, value in settings.items():
            object.__setattr__(self, name, value)

    @property
    def measure(self) -> str:
        """What a network is judged by: the accuracy of a classifier, else the loss."""
        return "accuracy" if self.criterion == "cross_entropy" else "loss"

    @property
    def curve_columns(self) -> tuple[str, ...]:
        """The measures of the training and of the test examples besides the loss.

        Those of the rounded network are among them, where it is rounded.
        """
        own = () if self.measure == "loss" else (self.measure,)
        rounded = () if self.quantize == "none" else (f"quantized_{self.measure}",)
        return of_both_parts(own + rounded)

    @abstractmethod
    def module(self, data: Data) -> nn.Module:
        """Return the network of one trial."""

    def init(self, rng: np.random.Generator, data: Data) -> Params:
        """Return no parameters: the engine draws a module's by its layers."""
        return {}

    def loss(self, params: Params, batch: Batch) -> Array:
        """Raise NotImplementedError: the engine has the module's loss from the criterion."""
        raise NotImplementedError


@dataclass(frozen=True)
class StatefulNetwork(Problem):
    """A PyTorch module with a loss of its own, and with buffers such as running statistics.

    Its trials run one by one. A step sees the module in training mode; what the pass leaves in
    the buffers belongs to the trial as its parameters do. A recorded point sees it in evaluation
    mode, which reads the buffers and moves none. Batches hold tensors by name.
    """

    vectorized: ClassVar[bool] = False
    at_once: ClassVar[int] = 64  # examples of each pass of a recorded point

    @abstractmethod
    def module(self, data: Data) -> nn.Module:
        """Return the network of one trial, drawn from torch's global stream."""

    @abstractmethod
    def losses(self, module: nn.Module, batch: Batch) -> dict[str, Array]:
        """Return the parts, by column name, whose sum is the mean loss over a batch."""

    def measure(self, module: nn.Module, examples: Batch) -> dict[str, float]:
        """Return what else is recorded of the test examples, given all of them."""
        return {}

    def init(self, rng: np.random.Generator, data: Data) -> Params:
        """Return no parameters: the engine takes what the module drew."""
        return {}

    def loss(self, params: Params, batch: Batch) -> Array:
        """Raise NotImplementedError: the loss is of a module, not of parameters alone."""
        raise NotImplementedError


def of_both_parts(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the columns of metrics that training and test examples both have."""
    return tuple(f"{part}_{name}" for name in names for part in ("train", "test"))
