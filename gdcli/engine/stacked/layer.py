"""The contract of a stacked layer: one nn layer with an axis of trials before all others.

Activations have shape (trials, features, batch) or (trials, channels, height, width, batch): with
the batch last, a trial's layer is one matrix product and elementwise work runs over long rows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from torch import Tensor, nn

Gradients = list["Tensor"]


class StackedLayer(ABC):
    """Forward and backward pass of one layer for every trial at once."""

    parameters: ClassVar[tuple[str, ...]] = ()  # names, as the nn layer has them

    def __init__(self, layer: nn.Module) -> None:
        """Take the settings of an nn layer that has passed `fits`."""
        self.layer = layer

    @staticmethod
    @abstractmethod
    def fits(layer: nn.Module) -> bool:
        """Return whether this class computes what the nn layer computes."""

    @abstractmethod
    def forward(self, params: list[Tensor], x: Tensor) -> tuple[Tensor, Any]:
        """Return the output, and what the backward pass needs of this one."""

    @abstractmethod
    def backward(
        self, params: list[Tensor], kept: Any, slope: Tensor, *, first: bool
    ) -> tuple[Tensor | None, Gradients]:
        """Return the slope of the loss in the input and in the parameters, given it in the output.

        The first layer of a network need not return the former.
        """

    def descend(
        self, params: list[Tensor], kept: Any, slope: Tensor, shrink: Tensor | None, *, first: bool
    ) -> Tensor | None:
        """Move the parameters by their slopes, in place; return the slope in the input.

        `shrink` holds the factor that the penalty takes each trial's weights down by first.
        """
        back, gradients = self.backward(params, kept, slope, first=first)
        for name, param, gradient in zip(self.parameters, params, gradients, strict=True):
            if shrink is not None and name == "weight":
                param.mul_(shrink.view(-1, *[1] * (param.ndim - 1)))
            param.sub_(gradient)
        return back
