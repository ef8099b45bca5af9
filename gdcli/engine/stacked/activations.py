"""nn.ReLU, nn.Tanh, nn.Sigmoid and nn.GELU."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

from gdcli.engine.stacked.layer import Gradients, StackedLayer

if TYPE_CHECKING:
    from torch import Tensor, nn

aten = torch.ops.aten
REGISTERS = 64  # elements: a multiple of what any processor handles at once


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
            return _in_registers(torch.nn.functional.gelu, x), x
        else:
            kind = torch.tanh if isinstance(self.layer, torch.nn.Tanh) else torch.sigmoid
            y = _in_registers(kind, x)
        return y, y

    def backward(
        self, params: list[Tensor], kept: Tensor, slope: Tensor, *, first: bool
    ) -> tuple[Tensor, Gradients]:
        """Return the slope times the function's derivative."""
        if isinstance(self.layer, torch.nn.ReLU):
            return aten.threshold_backward(slope, kept, 0.0), []
        if isinstance(self.layer, torch.nn.Tanh):
            return _in_registers(aten.tanh_backward, slope, kept), []
        if isinstance(self.layer, torch.nn.Sigmoid):
            return _in_registers(aten.sigmoid_backward, slope, kept), []
        return _in_registers(aten.gelu_backward, slope, kept), []


def _in_registers(function: Callable[..., Tensor], *arrays: Tensor) -> Tensor:
    """Return an elementwise function of arrays, whole registers of each trial at a time.

    torch computes what is left over at the end of an array by other instructions, with other
    bits; without padding, the end's place would depend on how many trials there are.
    """
    size = arrays[0][0].numel()
    missing = -size % REGISTERS
    if not missing:
        return function(*(array.contiguous() for array in arrays))
    padded = (torch.nn.functional.pad(array.flatten(1), (0, missing)) for array in arrays)
    return function(*padded)[:, :size].reshape(arrays[0].shape)
