"""nn.MaxPool2d and nn.AvgPool2d without padding or dilation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from gdcli.engine.stacked.layer import Gradients, StackedLayer

if TYPE_CHECKING:
    from torch import Tensor, nn

aten = torch.ops.aten


class Pooling(StackedLayer):
    """Pooling by torch's own kernels, which take the batch, last in memory, for channels.

    Those channels-last kernels are vectorised over the batch, 13 times as fast as the plain ones. A
    batch of one leaves them nothing to vectorise over: the plain ones, on its true channels, are
    faster there.
    """

    def __init__(self, layer: nn.Module) -> None:
        """Take the window of the nn layer."""
        super().__init__(layer)
        self.greatest = isinstance(layer, torch.nn.MaxPool2d)
        self.window = _pair(layer.kernel_size), _pair(layer.stride)

    @staticmethod
    def fits(layer: nn.Module) -> bool:
        """Accept windows without padding, dilation, ceiling or a divisor of their own."""
        if type(layer) is torch.nn.MaxPool2d:
            plain = _pair(layer.dilation) == (1, 1) and not layer.return_indices
        elif type(layer) is torch.nn.AvgPool2d:
            plain = layer.divisor_override is None
        else:
            return False
        return plain and _pair(layer.padding) == (0, 0) and not layer.ceil_mode

    def forward(
        self, params: list[Tensor], x: Tensor
    ) -> tuple[Tensor, tuple[Tensor, Tensor | None]]:
        """Map (trials, channels, height, width, batch) to smaller height and width."""
        x = x.contiguous()
        if self.greatest:
            y, chosen = aten.max_pool2d_with_indices(_as_channels(x), *self.window)
        else:
            y, chosen = aten.avg_pool2d(_as_channels(x), *self.window), None
        return _as_batch(y, x), (x, chosen)

    def backward(
        self,
        params: list[Tensor],
        kept: tuple[Tensor, Tensor | None],
        slope: Tensor,
        *,
        first: bool,
    ) -> tuple[Tensor, Gradients]:
        """Return the slopes, at each window's greatest element or spread over the window."""
        x, chosen = kept
        seen, y = _as_channels(x), _as_channels(slope.contiguous())
        if self.greatest:
            backward = aten.max_pool2d_with_indices_backward
            back = backward(y, seen, *self.window, (0, 0), (1, 1), ceil_mode=False, indices=chosen)
        else:
            more = {"ceil_mode": False, "count_include_pad": True, "divisor_override": None}
            back = aten.avg_pool2d_backward(y, seen, *self.window, (0, 0), **more)
        return _as_batch(back, x), []


def _pair(size: Any) -> tuple[int, int]:
    return size if isinstance(size, tuple) else (size, size)


def _as_channels(x: Tensor) -> Tensor:
    """Return a view, (trials * channels, batch, height, width), which is channels-last in memory.

    Of a batch of one it is (1, trials * channels, height, width), contiguous.
    """
    if x.shape[-1] == 1:
        return x.view(1, -1, *x.shape[2:4])
    return x.view(-1, *x.shape[2:]).permute(0, 3, 1, 2)


def _as_batch(y: Tensor, x: Tensor) -> Tensor:
    """Return (trials, channels, height, width, batch) again."""
    size = *x.shape[:2], *y.shape[2:], x.shape[-1]
    return y.reshape(size) if x.shape[-1] == 1 else y.permute(0, 2, 3, 1).reshape(size)
