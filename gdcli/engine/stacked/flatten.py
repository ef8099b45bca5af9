"""nn.Flatten of everything but the batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from gdcli.engine.stacked.layer import Gradients, StackedLayer

if TYPE_CHECKING:
    from torch import Tensor, nn


class Flatten(StackedLayer):
    """(trials, channels, height, width, batch) -> (trials, features, batch)."""

    @staticmethod
    def fits(layer: nn.Module) -> bool:
        """Accept the default, from the first axis after the batch to the last."""
        return type(layer) is torch.nn.Flatten and (layer.start_dim, layer.end_dim) == (1, -1)

    def forward(self, params: list[Tensor], x: Tensor) -> tuple[Tensor, torch.Size]:
        """Return one axis of features, in the order in which torch flattens."""
        return x.reshape(x.shape[0], -1, x.shape[-1]), x.shape

    def backward(
        self, params: list[Tensor], kept: torch.Size, slope: Tensor, *, first: bool
    ) -> tuple[Tensor, Gradients]:
        """Return the slope in the input's shape."""
        return slope.reshape(kept), []
