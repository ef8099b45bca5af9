"""What is minimised: the contract of a problem and of its five families.

Problem             any loss in PyTorch: differentiated by autograd under torch.func.vmap
├── Analytic        value and gradient in closed form (quadratic, rosenbrock, ...)
│   └── Surface     a function of two variables, with a starting point
├── LinearModel     predictions X W + b and the cost of one prediction (least squares, ...)
├── Network         a torch.nn.Module and a criterion (mlp, cnn)
└── StatefulNetwork a module with a loss of its own, one trial at a time (yolo26)

A problem is a frozen dataclass whose fields are its options. It is written for one trial; the
engine adds the axis of trials. The more specific the family, the faster it runs.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import reduce
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple, TypeAlias

from annotated_types import Ge, Le

from gdcli.arrays import namespace
from gdcli.errors import UserError
from gdcli.fields import LATER

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from torch import nn

# NumPy arrays on the CPU, otherwise torch tensors; no static type of the array API covers both.
Array: TypeAlias = Any
Params: TypeAlias = dict[str, Array]
Batch: TypeAlias = dict[str, Array]

L2: TypeAlias = Annotated[
    float,
    "strength of the L2 penalty: l2 / 2 times the sum of the squared weights is added to the loss",
    Ge(0),
]
StartSpread: TypeAlias = Annotated[
    float, "standard deviation of random starting points around --start", Ge(0)
]


@dataclass(frozen=True)
class Data:
    """Training and test examples: NumPy arrays by name, with examples along the first axis.

    A pure function has no examples; without held-out examples the test part is empty. Every batch
    contains `constants` (such as a Hessian) as a whole, on the device of the run. `order` has the
    index of each training example among the rows that were read, if that is known.
    """

    train: Batch = field(default_factory=dict)
    test: Batch = field(default_factory=dict)
    constants: Batch = field(default_factory=dict)
    # The name of each class, if known.
    classes: tuple[str, ...] = field(default=(), kw_only=True)
    order: Array | None = field(default=None, kw_only=True)

    @property
    def examples(self) -> int:
        """The number of training examples; a pure function counts as one."""
        return len(next(iter(self.train.values()))) if self.train else 1


@dataclass(frozen=True)
class Problem(ABC):
    """A loss to minimise, its data and its starting points."""

    default_lr: ClassVar[float] = 0.1  # gradient descent must converge at it
    default_epochs: ClassVar[int] = 50
    default_dtype: ClassVar[Literal["float32", "float64"]] = "float32"
    vectorized: ClassVar[bool] = True  # False: trials run one by one
    metric_names: ClassVar[tuple[str, ...]] = ()  # all names that `metrics` may return, in order
    constant: ClassVar[str] = ""  # part of the loss with stop-gradient, in words for messages
    packages: ClassVar[tuple[str, ...]] = ()  # further packages that the results depend on

    @property
    def curve_columns(self) -> tuple[str, ...]:
        """The columns of a curve besides the losses and the gradient norm."""
        return self.metric_names

    @property
    def minimum(self) -> float | None:
        """The least possible training loss; None: not known."""
        return None

    @classmethod
    def decided(cls, options: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG003 -- here nothing
        """Return values, by field, for options that the user left out and that a data file decides.

        Called once, when the experiment is made; the run's folder stores the values.
        """
        return {}

    def load(self, rng: np.random.Generator) -> Data:
        """Return the examples; draw all random numbers (labels, a split) from `rng`."""
        return Data()

    @abstractmethod
    def init(self, rng: np.random.Generator, data: Data) -> Params:
        """Return one trial's starting point: float64 NumPy arrays by name."""

    @abstractmethod
    def loss(self, params: Params, batch: Batch) -> Array:
        """Return the mean loss of one trial over the batch, a scalar tensor."""

    def metrics(self, params: Params, batch: Batch) -> dict[str, Array]:
        """Return further scalars to record, by column name."""
        return {}


def of_both_parts(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the column names of metrics for the training and the test examples."""
    return tuple(f"{part}_{name}" for name in names for part in ("train", "test"))


@dataclass(frozen=True, kw_only=True)
class OfClasses:
    """Class weights and balanced accuracy, for a problem that predicts a class."""

    class_weights: Annotated[
        Literal["none", "balanced"],
        LATER,
        "balanced: weigh each example by n / (classes x examples of its class), of the training "
        "part, so that rare classes count as much as common ones",
    ] = "none"
    balanced_accuracy: Annotated[
        bool,
        LATER,
        "also record the mean recall of the classes; --class-weights and --stratify do so, too",
    ] = False

    @property
    def weighs(self) -> bool:
        """Whether the loss weights the examples by class."""
        return self.class_weights == "balanced"

    @property
    def recalls(self) -> bool:
        """Whether the mean recall of the classes is recorded, too."""
        return self.weighs or True in (self.balanced_accuracy, getattr(self, "stratify", False))

    @property
    def of_rare_classes(self) -> tuple[str, ...]:
        """The names of the measures that are recorded besides the accuracy."""
        return ("balanced_accuracy",) if self.recalls else ()


@dataclass(frozen=True)
class Analytic(Problem):
    """A function with its gradient in closed form, written as array code.

    A point has shape (..., dimension, trials): `point[..., 0, :]` is the first coordinate of
    every trial. Batch arrays have shape (..., examples, dimension).
    """

    default_dtype: ClassVar[Literal["float32", "float64"]] = "float64"

    @abstractmethod
    def value(self, point: Array, batch: Batch) -> Array:
        """Return the mean loss over the batch, shape (..., trials)."""

    @abstractmethod
    def gradient(self, point: Array, batch: Batch) -> Array:
        """Return the gradient of `value`, in the shape of the point."""

    def aligned(self, data: Data) -> tuple[Array, Data] | None:
        """Return a rotation, (dimension, dimension), to axes in which the problem is simpler.

        The second value is the data of the rotated problem. It has the same losses, gradient norms
        and metrics at `rotation @ point` as this one at `point`. None: there is no such rotation.
        """
        return None

    def curvature(self, batch: Batch) -> tuple[Array, Array] | None:
        """Return the eigenvalues, (dimension, 1), and the minimiser of an axis-aligned bowl.

        The minimiser broadcasts against a point. None: the function is not such a bowl.
        """
        return None

    def loss(self, params: Params, batch: Batch) -> Array:
        """Return the loss of one trial; its point has shape (dimension,)."""
        return self.value(params["point"][:, None], batch)[0]


@dataclass(frozen=True)
class Surface(Analytic):
    """A function of two variables with a given starting point."""

    start: Annotated[tuple[float, float], "starting point x,y"] = (1.0, 1.0)
    spread: StartSpread = 0.0

    minima: ClassVar[tuple[tuple[float, float], ...]] = ()
    depth: ClassVar[float | None] = None  # the function's value at the minima
    metric_names: ClassVar[tuple[str, ...]] = ("distance",)

    @property
    def minimum(self) -> float | None:
        """The function's value at the minima."""
        return self.depth

    @abstractmethod
    def height(self, x: Array, y: Array) -> Array:
        """Return the function's value, elementwise."""

    @abstractmethod
    def slopes(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Return the two partial derivatives, elementwise."""

    def init(self, rng: np.random.Generator, data: Data) -> Params:
        """Return the start plus normal noise with the standard deviation `spread`."""
        return {"point": self.start + self.spread * rng.standard_normal(2)}

    def value(self, point: Array, batch: Batch) -> Array:
        """Return the function's value at each trial's point."""
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
    """Predictions z = X W + b; a subclass defines only the cost of one prediction.

    Data: "x" of shape (examples, features), "y" of shape (examples, outputs). Predictions and
    targets have shape (..., outputs, columns), with a column for each example of each trial.
    Elementwise code works for any such shape.
    """

    l2: L2 = 0.0
    init_scale: Annotated[float, "standard deviation of the random starting weights", Ge(0)] = 0.1

    default_dtype: ClassVar[Literal["float32", "float64"]] = "float64"
    squared: ClassVar[bool] = False  # the cost is half the squared residual
    bend: ClassVar[float | None] = None  # largest second derivative of the cost, if known
    likelihood: ClassVar[bool] = False  # True: the cost is minus the log of `probabilities`

    @abstractmethod
    def cost(self, z: Array, y: Array) -> Array:
        """Return the cost of each prediction; the engine sums it over the outputs."""

    @abstractmethod
    def slope(self, z: Array, y: Array) -> Array:
        """Return d cost / d z in the shape of z."""

    def bending(self, z: Array, y: Array, along: Array) -> Array | None:
        """Return the derivative of `slope` along a direction of z, in the shape of z.

        Sharpness needs it. None: the engine computes a difference quotient of `slope` instead.
        """
        return None

    @property
    def convex(self) -> bool:
        """Whether the cost is convex and differentiable and `bending` is defined.

        If so, the engine finds the least training loss with Newton's method.
        """
        return False

    @property
    def curve_columns(self) -> tuple[str, ...]:
        """Every metric, for the training and for the test examples."""
        rare = self.of_rare_classes if isinstance(self, OfClasses) else ()
        return of_both_parts((*self.metric_names, *rare))

    def scores(self, z: Array, y: Array) -> dict[str, Array]:
        """Return scores of each prediction by name, shape (..., columns); the engine averages."""
        return {}

    def probabilities(self, z: Array) -> Array | None:
        """Return class probabilities, (..., classes, columns); None: not a classifier."""
        return None

    def assess(self, z: Array, y: Array) -> tuple[Array, Array, dict[str, Array]]:
        """Return cost, slope and scores; override it if they can share work."""
        return self.cost(z, y), self.slope(z, y), self.scores(z, y)

    def init(self, rng: np.random.Generator, data: Data) -> Params:
        """Return normal weights with standard deviation `init_scale`, and zero biases."""
        shape = data.train["x"].shape[1], data.train["y"].shape[1]
        weight = self.init_scale * rng.standard_normal(shape)
        return {"weight": weight, "bias": 0.0 * weight[0]}

    def loss(self, params: Params, batch: Batch) -> Array:
        """Return the loss of one trial: weight (features, outputs), bias (outputs,)."""
        z = batch["x"] @ params["weight"] + params["bias"]
        cost = self.cost(z[..., None], batch["y"][..., None])
        return cost.sum() / cost.shape[0] + 0.5 * self.l2 * (params["weight"] ** 2).sum()


BITS = 8  # default number of bits of a rounded number


@dataclass(frozen=True)
class Network(Problem, OfClasses):
    """A PyTorch module and a criterion.

    Data: "x", one example a row; "y", class indices of shape (examples,) or (examples, places...)
    for cross_entropy, or targets of the shape of the outputs for mse and the other losses of
    torch.nn.functional.

    `criterion` is the name of such a loss, or a callable that takes outputs and targets and
    returns a mean over the examples: a module such as nn.HuberLoss(delta=0.5), a function, a
    functools.partial.

    The engine draws the starting parameters of nn.Linear and nn.Conv2d. Parameters that `module`
    sets itself, with nn.init or by assigning an nn.Parameter, stay as they are. The engine cannot
    see what is written through `.data`, or what was set before copy.deepcopy.
    """

    l2: L2 = 0.0
    quantize: Annotated[
        Literal["none", "ptq", "qat"],
        LATER,
        "round weights and activations to a few bits: none, ptq (after training) or qat (also "
        "during training)",
    ] = "none"
    weight_bits: Annotated[
        int | None, LATER, "bits of each rounded weight (default: 8)", Ge(2), Le(8)
    ] = None
    activation_bits: Annotated[
        int | None,
        LATER,
        "bits of each rounded activation; 32 leaves activations as they are (default: 8)",
        Ge(2),
        Le(32),
    ] = None
    float_epochs: Annotated[
        int | None, LATER, "epochs that qat trains first without rounding (default: 0)", Ge(0)
    ] = None

    criterion: ClassVar[str | Callable[..., Any]] = "cross_entropy"

    def __post_init__(self) -> None:
        """Set the default bits if something is rounded, and remove the bits if nothing is.

        Trials that differ in unused bits only are then the same trial.
        """
        if check := getattr(super(), "__post_init__", None):
            check()  # the options of the data
        rounds, trains = self.quantize != "none", self.quantize == "qat"
        settings = {
            "weight_bits": self.weight_bits or BITS if rounds else None,
            "activation_bits": self.activation_bits or BITS if rounds else None,
            "float_epochs": self.float_epochs or 0 if trains else None,
        }
        for name, value in settings.items():
            object.__setattr__(self, name, value)
        option = "--class-weights" if self.weighs else "--balanced-accuracy"
        lacks = self.criterion != "cross_entropy" if self.weighs else not self.classifies
        if lacks and (self.weighs or self.balanced_accuracy):
            what = f"it needs cross_entropy, and the criterion is {criterion_name(self.criterion)}"
            own = self.weighs and self.classifies
            fix = "leave it out, or give the criterion its weight" if own else "leave it out"
            raise UserError(option, what, fix)

    @property
    def classifies(self) -> bool:
        """Whether the criterion is cross-entropy, so that the outputs are scores of classes."""
        return criterion_name(self.criterion) in {"cross_entropy", "CrossEntropyLoss"}

    @property
    def measure(self) -> str:
        """The measure of quality: accuracy for a classifier, otherwise loss."""
        return "accuracy" if self.classifies else "loss"

    @property
    def curve_columns(self) -> tuple[str, ...]:
        """The measures besides the loss, for the training and for the test examples.

        With rounding they include the measure of the rounded network.
        """
        own = () if self.measure == "loss" else (self.measure, *self.of_rare_classes)
        rounded = () if self.quantize == "none" else (f"quantized_{self.measure}",)
        return of_both_parts(own + rounded)

    @abstractmethod
    def module(self, data: Data) -> nn.Module:
        """Return the network of one trial."""

    def bound(self, fan_in: int, fan_out: int) -> float:
        """Return the bound b of the starting weights and biases, which are uniform in [-b, b].

        This is torch's bound: kaiming_uniform_ with a = sqrt(5) (He et al. 2015). Each output of
        the layer depends on `fan_in` inputs, each input affects `fan_out` outputs.
        """
        return 1 / math.sqrt(fan_in)

    def init(self, rng: np.random.Generator, data: Data) -> Params:
        """Return no parameters: the engine draws those of the module, layer by layer."""
        return {}

    def loss(self, params: Params, batch: Batch) -> Array:
        """Raise NotImplementedError: the engine computes the loss with the criterion."""
        raise NotImplementedError


class Least(NamedTuple):
    """The greatest lower bound of the training loss."""

    loss: float
    attained: bool  # at some parameters; else it is approached without end, and never reached


class Quantized(NamedTuple):
    """How a network is rounded, and the bytes of its parameters before and after."""

    how: str  # none, ptq or qat
    weight_bits: int | None
    activation_bits: int | None
    float_bytes: int
    bytes: int


def criterion_name(criterion: str | Callable[..., Any]) -> str:
    """Return the name of a criterion, or of the function or class behind it."""
    if isinstance(criterion, str):
        return criterion
    made_of = getattr(criterion, "func", criterion)  # of a functools.partial
    return str(getattr(made_of, "__name__", type(made_of).__name__))


@dataclass(frozen=True)
class StatefulNetwork(Problem):
    """A PyTorch module with a loss of its own, and with buffers such as running statistics.

    Its trials run one by one. A step runs the module in training mode; the buffers that it updates
    belong to the trial, like its parameters. A recorded point runs the module in evaluation mode,
    which reads the buffers and does not change them. Batches hold tensors by name.
    """

    vectorized: ClassVar[bool] = False
    at_once: ClassVar[int] = 64  # examples in each forward pass of a recorded point

    @abstractmethod
    def module(self, data: Data) -> nn.Module:
        """Return the network of one trial, drawn from torch's global generator."""

    @abstractmethod
    def losses(self, module: nn.Module, batch: Batch) -> dict[str, Array]:
        """Return the parts of the mean loss over a batch by column name; their sum is the loss."""

    def measure(self, module: nn.Module, examples: Batch) -> dict[str, float]:
        """Return further values to record, computed on all test examples."""
        return {}

    def init(self, rng: np.random.Generator, data: Data) -> Params:
        """Return no parameters: the engine takes those that the module drew."""
        return {}

    def loss(self, params: Params, batch: Batch) -> Array:
        """Raise NotImplementedError: use `losses`, which takes a module."""
        raise NotImplementedError
