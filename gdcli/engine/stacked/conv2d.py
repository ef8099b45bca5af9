"""nn.Conv2d with stride 1: weight (trials, out, in, height, width), bias (trials, out)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch

from gdcli.engine.stacked.layer import Gradients, StackedLayer

if TYPE_CHECKING:
    from torch import Tensor, nn


class Conv2d(StackedLayer):
    """Cross-correlation as one matrix product a trial, over columns of image patches (im2col)."""

    parameters = ("weight", "bias")

    def __init__(self, layer: nn.Module) -> None:
        """Take the padding of the nn layer."""
        super().__init__(layer)
        convolution = cast("nn.Conv2d", layer)
        padding: Any = convolution.padding
        if padding == "same":
            padding = tuple(size // 2 for size in convolution.kernel_size)
        self.padding: tuple[int, int] = (0, 0) if padding == "valid" else padding

    @staticmethod
    def fits(layer: nn.Module) -> bool:
        """Accept stride 1, no dilation or groups, a bias, and zeros alike on both sides."""
        return type(layer) is torch.nn.Conv2d and Conv2d.takes(layer)

    @staticmethod
    def takes(layer: nn.Conv2d) -> bool:
        """Return whether the settings of a convolution are known here."""
        return (
            layer.stride == layer.dilation == (1, 1)
            and layer.groups == 1
            and layer.bias is not None
            and layer.padding_mode == "zeros"
            and (layer.padding != "same" or all(size % 2 for size in layer.kernel_size))
        )

    def forward(self, params: list[Tensor], x: Tensor) -> tuple[Tensor, tuple[Tensor, torch.Size]]:
        """Map (trials, in, height, width, batch) to (trials, out, height', width', batch)."""
        weight, bias = params
        trials, out, _, *size = weight.shape
        down, right = self.padding
        if down or right:
            x = torch.nn.functional.pad(x, (0, 0, right, right, down, down))
        patches = x.unfold(2, size[0], 1).unfold(3, size[1], 1)
        height, width, batch = patches.shape[2:5]
        columns = patches.permute(0, 1, 5, 6, 2, 3, 4).reshape(trials, -1, height * width * batch)
        z = torch.baddbmm(bias.unsqueeze(2), weight.reshape(trials, out, -1), columns)
        return z.view(trials, out, height, width, batch), (columns, x.shape)

    def backward(
        self, params: list[Tensor], kept: tuple[Tensor, torch.Size], slope: Tensor, *, first: bool
    ) -> tuple[Tensor | None, Gradients]:
        """Return the patches' slopes, added up where patches overlap, and those of W and b."""
        columns, padded = kept
        weight = params[0]
        trials, out, channels, tall, wide = weight.shape
        height, width, batch = slope.shape[2:]
        rows = slope.reshape(trials, out, -1)
        gradients = [torch.bmm(rows, columns.mT).view_as(weight), rows.sum(2)]
        if first:
            return None, gradients
        patches = torch.bmm(weight.reshape(trials, out, -1).mT, rows)
        patches = patches.view(trials, channels, tall, wide, height, width, batch)
        x = torch.zeros(padded, dtype=slope.dtype, device=slope.device)
        for i in range(tall):
            for j in range(wide):
                x[:, :, i : i + height, j : j + width] += patches[:, :, i, j]
        down, right = self.padding
        return x[:, :, down : padded[2] - down, right : padded[3] - right], gradients
