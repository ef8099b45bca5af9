"""Fully connected network on digits, iris, wine, breast-cancer, images or a file."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from annotated_types import Ge

from gdcli.datasets.classes import count_classes
from gdcli.datasets.classified import Classified
from gdcli.datasets.split import Scale
from gdcli.fields import LATER
from gdcli.problem import Data, Network

if TYPE_CHECKING:
    import numpy as np
    from torch import nn


@dataclass(frozen=True)
class Mlp(Network, Classified):
    """A multilayer perceptron with cross-entropy (Rumelhart, Hinton and Williams 1986)."""

    scale: Annotated[Scale, "scaling of the features, by the training part"] = "minmax"
    hidden: Annotated[tuple[int, ...], "width of each hidden layer", Ge(1)] = (64,)
    activation: Annotated[
        Literal["relu", "tanh", "sigmoid", "gelu"], "what follows each hidden layer"
    ] = "relu"
    initial: Annotated[
        Literal["torch", "glorot"],
        LATER,
        "bound of the starting weights: 1 / sqrt(inputs), or sqrt(6 / (inputs + outputs))",
    ] = "torch"

    default_lr: ClassVar[float] = 0.3
    default_epochs: ClassVar[int] = 200

    def load(self, rng: np.random.Generator) -> Data:
        """Return the split set: features, scaled, and classes, (examples,) int64."""
        return self.load_classes(rng)

    def module(self, data: Data) -> nn.Module:
        """Return linear layers with the activation between them."""
        from torch import nn

        kinds = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "gelu": nn.GELU}
        width, layers = data.train["x"].shape[1], list[nn.Module]()
        for wider in self.hidden:
            layers += [nn.Linear(width, wider), kinds[self.activation]()]
            width = wider
        return nn.Sequential(*layers, nn.Linear(width, count_classes(data)))

    def bound(self, fan_in: int, fan_out: int) -> float:
        """Return how far from 0 weights and biases start; Glorot and Bengio 2010."""
        if self.initial == "torch":
            return super().bound(fan_in, fan_out)
        return math.sqrt(6 / (fan_in + fan_out))
