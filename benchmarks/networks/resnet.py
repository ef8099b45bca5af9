"""Residual networks (He et al. 2016) on 32 x 32 images of noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge
from torch import Tensor, nn

from gdcli.problem import Data, Network


class Block(nn.Module):
    """Two convolutions, and a way around them."""

    def __init__(self, before: int, after: int) -> None:
        """Halve the image where there are more channels after than before."""
        super().__init__()
        stride = 1 if before == after else 2
        self.way = nn.Sequential(
            nn.Conv2d(before, after, 3, stride, 1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(),
            nn.Conv2d(after, after, 3, 1, 1, bias=False),
            nn.BatchNorm2d(after),
        )
        around = nn.Conv2d(before, after, 1, stride, bias=False)
        wider = nn.Sequential(around, nn.BatchNorm2d(after))
        self.around = nn.Identity() if stride == 1 else wider

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum of both ways."""
        return nn.functional.relu(self.way(x) + self.around(x))


@dataclass(frozen=True)
class ResNet(Network):
    """ResNet-8 unless it is said: a convolution, stages of blocks, the mean over the image."""

    examples: Annotated[int, "training examples", Ge(2)] = 1024
    width: Annotated[int, "channels of the first stage, twice as many in each next", Ge(1)] = 16
    blocks: Annotated[tuple[int, ...], "blocks of each stage", Ge(1)] = (1, 1, 1)

    def load(self, rng: np.random.Generator) -> Data:
        """Return images of normal noise and classes at random."""
        x = rng.standard_normal((self.examples, 3, 32, 32), np.float32)
        return Data({"x": x, "y": rng.integers(0, 10, self.examples)})

    def module(self, data: Data) -> nn.Module:
        """Return the layers."""
        first = nn.Conv2d(3, self.width, 3, 1, 1, bias=False)
        layers: list[nn.Module] = [first, nn.BatchNorm2d(self.width), nn.ReLU()]
        before = self.width
        for stage, count in enumerate(self.blocks):
            for _ in range(count):
                layers.append(Block(before, self.width * 2**stage))
                before = self.width * 2**stage
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, 10))
