"""Linear layers and convolutions that round, for every trial at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from gdcli.engine.quantization.layers import RoundedConv2d, RoundedLinear
from gdcli.engine.stacked.conv2d import Conv2d
from gdcli.engine.stacked.layer import Gradients, StackedLayer
from gdcli.engine.stacked.linear import Linear

if TYPE_CHECKING:
    from torch import Tensor, nn


class Rounded(StackedLayer):
    """A layer that sees its weights and its input rounded, and is differentiated as if not."""

    parameters = ("weight", "bias")

    def __init__(self, layer: nn.Module) -> None:
        """Take the stacked form of the layer without its rounding."""
        super().__init__(layer)
        self.inner = Linear(layer) if isinstance(layer, RoundedLinear) else Conv2d(layer)
        self.rounding = cast("RoundedLinear | RoundedConv2d", layer).rounding

    @staticmethod
    def fits(layer: nn.Module) -> bool:
        """Accept the two that round, where their plain forms would be accepted."""
        return (type(layer) is RoundedLinear and Linear.takes(layer)) or (
            type(layer) is RoundedConv2d and Conv2d.takes(layer)
        )

    def forward(self, params: list[Tensor], x: Tensor) -> tuple[Tensor, Any]:
        """Return what the layer makes of rounded numbers; keep them for the way back."""
        if not self.rounding.on:
            y, kept = self.inner.forward(params, x)
            return y, (None, kept)
        weight = self.rounding.weight(params[0], outputs=1)
        x = self.rounding.activation(x, tuple(range(1, x.ndim - 1)))
        y, kept = self.inner.forward([weight, params[1]], x)
        return y, (weight, kept)

    def backward(
        self, params: list[Tensor], kept: Any, slope: Tensor, *, first: bool
    ) -> tuple[Tensor | None, Gradients]:
        """Return the slopes at the rounded numbers: those at the others, straight through."""
        weight, needed = kept
        seen = params if weight is None else [weight, params[1]]
        return self.inner.backward(seen, needed, slope, first=first)

    def descend(
        self, params: list[Tensor], kept: Any, slope: Tensor, shrink: Tensor | None, *, first: bool
    ) -> Tensor | None:
        """Move the weights behind the rounding."""
        weight, needed = kept
        if weight is None:
            return self.inner.descend(params, needed, slope, shrink, first=first)
        return super().descend(params, kept, slope, shrink, first=first)
