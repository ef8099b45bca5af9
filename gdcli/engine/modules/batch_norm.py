"""Batch norm in plain arithmetic: torch's own kernel has other bits for other stacks of trials."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch

if TYPE_CHECKING:
    from torch import Tensor

KINDS = (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d, torch.nn.BatchNorm3d)


class BatchNorm(torch.nn.Module):
    """What torch's layer of the same settings computes (Ioffe and Szegedy 2015)."""

    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(self, layer: torch.nn.BatchNorm1d) -> None:
        """Take the parameters and running statistics of the layer in whose place this one is."""
        super().__init__()
        self.eps, self.momentum = layer.eps, layer.momentum
        self.weight: Tensor | None = layer.weight
        self.bias: Tensor | None = layer.bias
        for name in ("running_mean", "running_var", "num_batches_tracked"):
            self.register_buffer(name, getattr(layer, name))

    @staticmethod
    def fits(layer: torch.nn.Module) -> bool:
        """Return whether a layer is a batch norm."""
        return type(layer) in KINDS

    def forward(self, x: Tensor) -> Tensor:
        """Normalise every channel, the second axis, over the other ones."""
        axes = [0, *range(2, x.ndim)]
        shape = [-1, *[1] * (x.ndim - 2)]
        if self.training or self.running_mean is None or self.running_var is None:
            mean = x.mean(axes)
            centred = x - mean.view(shape)
            variance = (centred * centred).mean(axes)
            if self.training:
                self._track(mean.detach(), variance.detach(), x.numel() // x.shape[1])
        else:
            centred, variance = x - self.running_mean.view(shape), self.running_var
        y = centred / torch.sqrt(variance + self.eps).view(shape)
        if self.weight is None or self.bias is None:
            return y
        return y * self.weight.view(shape) + self.bias.view(shape)

    def _track(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Move the running statistics, in place, towards those of a batch."""
        if count == 1:
            what = "batch norm has one value a channel in this batch: it needs two"
            raise ValueError(f"{what}; --remainder drop leaves out the last, smaller batch")
        if self.running_mean is None or self.running_var is None:
            return
        batches = cast("Tensor", self.num_batches_tracked)
        batches.add_(1)
        share = 1 / batches.to(mean.dtype) if self.momentum is None else self.momentum
        for held, found in (
            (self.running_mean, mean),
            (self.running_var, variance * count / (count - 1)),
        ):
            held.copy_((1 - share) * held + share * found)
