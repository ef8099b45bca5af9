"""Two convolutions with batch norm on 28 x 28 images of noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge
from torch import nn

from gdcli.problem import Data, Network


@dataclass(frozen=True)
class TwoConvolutions(Network):
    """Convolution, batch norm, ReLU and pooling, twice, and a linear layer."""

    examples: Annotated[int, "training examples", Ge(2)] = 60_000

    def load(self, rng: np.random.Generator) -> Data:
        """Return images of normal noise and classes at random."""
        x = rng.standard_normal((self.examples, 1, 28, 28), np.float32)
        return Data({"x": x, "y": rng.integers(0, 10, self.examples)})

    def module(self, data: Data) -> nn.Module:
        """Return the layers."""
        layers: list[nn.Module] = []
        for before, after in ((1, 32), (32, 64)):
            convolution = nn.Conv2d(before, after, 3, padding=1)
            layers += [convolution, nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2)]
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * 7 * 7, 10))
