"""A network whose last layer is a ReLU: at many starts all of its outputs are 0."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from gdcli.problem import Data, Network

if TYPE_CHECKING:
    import numpy as np
    from torch import nn


@dataclass(frozen=True)
class Dead(Network):
    """Squares of numbers, learnt by a network that may never move."""

    criterion: ClassVar[str] = "mse"

    def load(self, rng: np.random.Generator) -> Data:
        """Return ten numbers and their squares."""
        import numpy as np

        x = np.linspace(-1, 1, 10)[:, None]
        return Data({"x": x, "y": x * x})

    def module(self, data: Data) -> nn.Module:
        """Return two layers, each with a ReLU behind it."""
        from torch import nn

        return nn.Sequential(nn.Linear(1, 3), nn.ReLU(), nn.Linear(3, 1), nn.ReLU())
