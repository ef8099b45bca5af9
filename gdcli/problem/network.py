"""PyTorch modules, with a criterion or with a loss of their own."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Le

from gdcli.errors import UserError
from gdcli.fields import LATER
from gdcli.problem.contract import Array, Batch, Data, OfClasses, Params, Problem, of_both_parts

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

BITS = 8  # of a rounded number, unless it is said


@dataclass(frozen=True)
class Network(Problem, OfClasses):
    """A PyTorch module and a criterion.

    Data: "x", one example a row; "y", class indices of shape (examples,) or (examples, places...)
    for cross_entropy, or targets of the shape of the outputs for mse and the other losses of
    torch.nn.functional; a criterion is the name of one of them, or what is called with outputs and
    targets and returns a mean over the examples: a module such as nn.HuberLoss(delta=0.5), a
    function, a functools.partial. The engine draws the starting parameters of
    nn.Linear and nn.Conv2d; what `module` sets itself, by nn.init or by assigning an
    nn.Parameter, it leaves. Torch does not tell what is written through `.data`, nor, of a layer
    copied by copy.deepcopy, what was set before.
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

    criterion: ClassVar[str | Callable[..., Any]] = "cross_entropy"

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
        option = "--class-weights" if self.weighs else "--balanced-accuracy"
        lacks = self.criterion != "cross_entropy" if self.weighs else not self.classifies
        if lacks and (self.weighs or self.balanced_accuracy):
            what = f"the criterion is {criterion_name(self.criterion)}, and it is for cross_entropy"
            own = self.weighs and self.classifies
            fix = "leave it out, or give the criterion its weight" if own else "leave it out"
            raise UserError(option, what, fix)

    @property
    def classifies(self) -> bool:
        """Whether the outputs are scores of classes: the criterion is cross-entropy."""
        return criterion_name(self.criterion) in {"cross_entropy", "CrossEntropyLoss"}

    @property
    def measure(self) -> str:
        """What a network is judged by: the accuracy of a classifier, else the loss."""
        return "accuracy" if self.classifies else "loss"

    @property
    def curve_columns(self) -> tuple[str, ...]:
        """The measures of the training and of the test examples besides the loss.

        Those of the rounded network are among them, where it is rounded.
        """
        own = () if self.measure == "loss" else (self.measure, *self.of_rare_classes)
        rounded = () if self.quantize == "none" else (f"quantized_{self.measure}",)
        return of_both_parts(own + rounded)

    @abstractmethod
    def module(self, data: Data) -> nn.Module:
        """Return the network of one trial."""

    def bound(self, fan_in: int, fan_out: int) -> float:
        """Return how far from 0 weights and biases may start, uniformly: torch's bound.

        torch's kaiming_uniform_ with a = sqrt(5) has it (He et al. 2015). An output of the layer
        depends on `fan_in` numbers, a number that goes in has a part in `fan_out` outputs.
        """
        return 1 / math.sqrt(fan_in)

    def init(self, rng: np.random.Generator, data: Data) -> Params:
        """Return no parameters: the engine draws a module's by its layers."""
        return {}

    def loss(self, params: Params, batch: Batch) -> Array:
        """Raise NotImplementedError: the engine has the module's loss from the criterion."""
        raise NotImplementedError


def criterion_name(criterion: str | Callable[..., Any]) -> str:
    """Return the name of a criterion, or of what it is made of."""
    if isinstance(criterion, str):
        return criterion
    made_of = getattr(criterion, "func", criterion)  # of a functools.partial
    return str(getattr(made_of, "__name__", type(made_of).__name__))


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
