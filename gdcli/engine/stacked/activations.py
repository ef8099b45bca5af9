"""nn.ReLU, nn.Tanh, nn.Sigmoid and nn.GELU."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from gdcli.engine.stacked.layer import Gradients, StackedLayer

if TYPE_CHECKING:
    from torch import Tensor, nn

aten = torch.ops.aten


class Activation(StackedLayer):
    """An elementwise function; its slope follows from its output, or its input for gelu."""

    @staticmethod
    def fits(layer: nn.Module) -> bool:
        """Accept the four, gelu in its exact form."""
        if isinstance(layer, torch.nn.GELU):
            return type(layer) is torch.nn.GELU and layer.approximate == "none"
        return type(layer) in (torch.nn.ReLU, torch.nn.Tanh, torch.nn.Sigmoid)

    def forward(self, params: list[Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the function of every element."""
        if isinstance(self.layer, torch.nn.ReLU):
            y = x.relu()
        elif isinstance(self.layer, torch.nn.GELU):
            return torch.nn.functional.gelu(x), x
        else:
            y = x.tanh() if isinstance(self.layer, torch.nn.Tanh) else x.sigmoid()
        return y, y

    def backward(
        self, params: list[Tensor], kept: Tensor, slope: Tensor, *, first: bool
    ) -> tuple[Tensor, Gradients]:
        """Return the slope times the function's derivative."""
        if isinstance(self.layer, torch.nn.ReLU):
            return aten.threshold_backward(slope, kept, 0.0), []
        if isinstance(self.layer, torch.nn.Tanh):
            return aten.tanh_backward(slope, kept), []
        if isinstance(self.layer, torch.nn.Sigmoid):
            return aten.sigmoid_backward(slope, kept), []
        return aten.gelu_backward(slope, kept), []
