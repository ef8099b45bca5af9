"""PyTorch modules, either with a criterion or with a loss of their own."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple

from annotated_types import Ge, Le

from gdcli.errors import UserError
from gdcli.fields import LATER
from gdcli.problem.contract import Array, Batch, Data, OfClasses, Params, Problem, of_both_parts

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

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

    l2: Annotated[
        float,
        "strength of the L2 penalty: l2 / 2 times the sum of the squared weights is added to "
        "the loss",
        Ge(0),
    ] = 0.0
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
            what = f"the criterion is {criterion_name(self.criterion)}, and it is for cross_entropy"
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
