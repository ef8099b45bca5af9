"""nn.Conv2d with stride 1: weight (trials, out, in, height, width), bias (trials, out)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import torch

from gdcli.engine.stacked.layer import Gradients, StackedLayer

if TYPE_CHECKING:
    from torch import Tensor, nn

SHORT = 16  # numbers in a row of patches, below which gathering them one by one is faster


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
        self.known: tuple[torch.Size, Tensor] | None = None  # an input's shape and its indices

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
        patches = _patches(x, size)
        height, width, batch = patches.shape[4:]
        if width * batch < SHORT:
            flat = x.flatten(1).index_select(1, self._indices(x, size))
        else:
            flat = patches.flatten(1)
        columns = flat.view(trials, -1, height * width * batch)
        z = torch.baddbmm(bias.unsqueeze(2), weight.reshape(trials, out, -1), columns)
        return z.view(trials, out, height, width, batch), (columns, x.shape)

    def _indices(self, x: Tensor, size: Sequence[int]) -> Tensor:
        """Return where in a trial's flattened input each number of its flattened patches stands."""
        if self.known is None or self.known[0] != x.shape[1:]:
            one = torch.arange(x[0].numel(), device=x.device).view(1, *x.shape[1:])
            self.known = x.shape[1:], _patches(one, size).flatten()
        return self.known[1]

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


def _patches(x: Tensor, size: Sequence[int]) -> Tensor:
    """Return a view: (trials, in, window height, window width, height, width, batch)."""
    return x.unfold(2, size[0], 1).unfold(3, size[1], 1).permute(0, 1, 5, 6, 2, 3, 4)
