"""nn.Linear: weight (trials, out, in), bias (trials, out)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from gdcli.engine.stacked.layer import Gradients, StackedLayer

if TYPE_CHECKING:
    from torch import Tensor, nn


class Linear(StackedLayer):
    """x -> W x + b, one matrix product a trial.

    A single example is a row, as x' W' is several times as fast as W x.
    """

    parameters = ("weight", "bias")

    @staticmethod
    def fits(layer: nn.Module) -> bool:
        """Accept a linear layer with a bias."""
        return type(layer) is torch.nn.Linear and Linear.takes(layer)

    @staticmethod
    def takes(layer: nn.Linear) -> bool:
        """Return whether the settings of a linear layer are known here."""
        return layer.bias is not None

    def forward(self, params: list[Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
        """Map (trials, in, batch) to (trials, out, batch)."""
        weight, bias = params
        if x.shape[2] == 1:
            return torch.baddbmm(bias.unsqueeze(1), x.mT, weight.mT).mT, x
        return torch.baddbmm(bias.unsqueeze(2), weight, x), x

    def backward(
        self, params: list[Tensor], kept: Tensor, slope: Tensor, *, first: bool
    ) -> tuple[Tensor | None, Gradients]:
        """Return W' slope, and slope x' and its row sums."""
        gradients = [torch.bmm(slope, kept.mT), slope.sum(2)]
        return None if first else self._back(params[0], slope), gradients

    def descend(
        self,
        params: list[Tensor],
        kept: Tensor,
        slope: Tensor,
        shrink: Tensor | None,
        *,
        first: bool,
    ) -> Tensor | None:
        """Add the product into the weights, without storing it."""
        weight, bias = params
        back = None if first else self._back(weight, slope)
        if shrink is not None:
            weight *= shrink[:, None, None]
        if slope.shape[2] == 1:
            weight.addcmul_(slope, kept.mT, value=-1)
        else:
            weight.baddbmm_(slope, kept.mT, alpha=-1)
        bias -= slope.sum(2)
        return back

    def _back(self, weight: Tensor, slope: Tensor) -> Tensor:
        """Return the slope in the input, (trials, in, batch)."""
        if slope.shape[2] == 1:
            return torch.bmm(slope.mT, weight).mT
        return torch.bmm(weight.mT, slope)
