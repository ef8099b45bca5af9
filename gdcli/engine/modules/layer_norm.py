"""Layer norm whose weights see the examples as rows, which are then added up in one order.

Of other layouts torch adds up the weights' gradients in an order that depends on the stack.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor


class LayerNorm(torch.nn.Module):
    """What torch's layer of the same settings computes (Ba, Kiros and Hinton 2016)."""

    def __init__(self, layer: torch.nn.LayerNorm) -> None:
        """Take the parameters of the layer in whose place this one is."""
        super().__init__()
        self.shape, self.eps = layer.normalized_shape, layer.eps
        self.weight: Tensor = layer.weight
        self.bias: Tensor | None = layer.bias

    @staticmethod
    def fits(layer: torch.nn.Module) -> bool:
        """Return whether a layer is a layer norm that has weights."""
        return type(layer) is torch.nn.LayerNorm and layer.elementwise_affine

    def forward(self, x: Tensor) -> Tensor:
        """Normalise each example over its last axes."""
        normal = torch.nn.functional.layer_norm(x, self.shape, eps=self.eps)
        rows = normal.reshape(-1, self.weight.numel()) * self.weight.flatten()
        if self.bias is not None:
            rows = rows + self.bias.flatten()
        return rows.reshape(x.shape)
