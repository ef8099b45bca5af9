"""Stacked layers: nn layers for many trials at once, forward and backward passes.

Activations have shape (trials, features, batch) or (trials, channels, height, width, batch). With
the batch last, a trial's layer is one matrix product and elementwise work runs over long rows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, cast

import torch

from gdcli.engine.layers.quantized import RoundedConv2d, RoundedLinear

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor, nn

Gradients = list["Tensor"]


class StackedLayer(ABC):
    """The contract: forward and backward pass of one layer for every trial at once."""

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
        """Return the output, and what the backward pass needs."""

    @abstractmethod
    def backward(
        self, params: list[Tensor], kept: Any, slope: Tensor, *, first: bool
    ) -> tuple[Tensor | None, Gradients]:
        """Return the gradients of the input and of the parameters, given that of the output.

        The first layer of a network need not return the gradient of its input.
        """

    def descend(
        self, params: list[Tensor], kept: Any, slope: Tensor, shrink: Tensor | None, *, first: bool
    ) -> Tensor | None:
        """Move the parameters by their gradients, in place; return the gradient of the input.

        `shrink` holds the factor of the penalty, which multiplies each trial's weights first.
        """
        back, gradients = self.backward(params, kept, slope, first=first)
        for name, param, gradient in zip(self.parameters, params, gradients, strict=True):
            if shrink is not None and name == "weight":
                param.mul_(shrink.view(-1, *[1] * (param.ndim - 1)))
            param.sub_(gradient)
        return back


class StackedLinear(StackedLayer):
    """nn.Linear: x -> W x + b, one matrix product a trial; weight (trials, out, in).

    A single example is a row, since x' W' is several times as fast as W x.
    """

    parameters = ("weight", "bias")

    @staticmethod
    def fits(layer: nn.Module) -> bool:
        """Accept a linear layer with a bias."""
        return type(layer) is torch.nn.Linear and StackedLinear.takes(layer)

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
        """Return W' slope, slope x' and its row sums."""
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
        """Add the product to the weights without storing it."""
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
        """Return the gradient of the input, (trials, in, batch)."""
        if slope.shape[2] == 1:
            return torch.bmm(slope.mT, weight).mT
        return torch.bmm(weight.mT, slope)


aten = torch.ops.aten
REGISTERS = 64  # elements: a multiple of what any processor handles at once


class Activation(StackedLayer):
    """nn.ReLU, nn.Tanh, nn.Sigmoid or nn.GELU; `backward` uses the output, of GELU the input."""

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
        """Return the gradient times the function's derivative."""
        if isinstance(self.layer, torch.nn.ReLU):
            return aten.threshold_backward(slope, kept, 0.0), []
        if isinstance(self.layer, torch.nn.Tanh):
            return _in_registers(aten.tanh_backward, slope, kept), []
        if isinstance(self.layer, torch.nn.Sigmoid):
            return _in_registers(aten.sigmoid_backward, slope, kept), []
        return _in_registers(aten.gelu_backward, slope, kept), []


def _in_registers(function: Callable[..., Tensor], *arrays: Tensor) -> Tensor:
    """Return an elementwise function that computes whole registers of each trial.

    torch computes the rest at the end of an array by other instructions, with other bits; without
    padding, the place of that end would depend on the number of trials.
    """
    size = arrays[0][0].numel()
    missing = -size % REGISTERS
    if not missing:
        return function(*(array.contiguous() for array in arrays))
    padded = (torch.nn.functional.pad(array.flatten(1), (0, missing)) for array in arrays)
    return function(*padded)[:, :size].reshape(arrays[0].shape)


class Flatten(StackedLayer):
    """nn.Flatten: (trials, channels, height, width, batch) -> (trials, features, batch)."""

    @staticmethod
    def fits(layer: nn.Module) -> bool:
        """Accept the default, from the first axis after the batch to the last."""
        return type(layer) is torch.nn.Flatten and (layer.start_dim, layer.end_dim) == (1, -1)

    def forward(self, params: list[Tensor], x: Tensor) -> tuple[Tensor, torch.Size]:
        """Return one axis of features, in torch's order."""
        return x.reshape(x.shape[0], -1, x.shape[-1]), x.shape

    def backward(
        self, params: list[Tensor], kept: torch.Size, slope: Tensor, *, first: bool
    ) -> tuple[Tensor, Gradients]:
        """Return the gradient in the input's shape."""
        return slope.reshape(kept), []


SHORT = 16  # numbers in a row of patches, below which a gather is faster than copies


class Conv2d(StackedLayer):
    """nn.Conv2d with stride 1: one matrix product a trial, over columns of image patches (im2col).

    weight (trials, out, in, height, width), bias (trials, out).
    """

    parameters = ("weight", "bias")

    def __init__(self, layer: nn.Module) -> None:
        """Take the padding of the nn layer."""
        super().__init__(layer)
        convolution = cast("nn.Conv2d", layer)
        padding: Any = convolution.padding
        if padding == "same":
            padding = tuple(size // 2 for size in convolution.kernel_size)
        self.padding: tuple[int, int] = (0, 0) if padding == "valid" else padding
        self.known: tuple[torch.Size, Tensor] | None = (
            None  # the last input's shape and its indices
        )

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
        """Return the index, in a trial's flattened input, of each number of its patches."""
        if self.known is None or self.known[0] != x.shape[1:]:
            one = torch.arange(x[0].numel(), device=x.device).view(1, *x.shape[1:])
            self.known = x.shape[1:], _patches(one, size).flatten()
        return self.known[1]

    def backward(
        self, params: list[Tensor], kept: tuple[Tensor, torch.Size], slope: Tensor, *, first: bool
    ) -> tuple[Tensor | None, Gradients]:
        """Return the patches' gradients, added up where patches overlap, and those of W and b."""
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


class Rounded(StackedLayer):
    """A layer with rounded weights and inputs, differentiated as if it did not round."""

    parameters = ("weight", "bias")

    def __init__(self, layer: nn.Module) -> None:
        """Take the stacked layer that does not round."""
        super().__init__(layer)
        self.inner = StackedLinear(layer) if isinstance(layer, RoundedLinear) else Conv2d(layer)
        self.rounding = cast("RoundedLinear | RoundedConv2d", layer).rounding

    @staticmethod
    def fits(layer: nn.Module) -> bool:
        """Accept the two that round, where their plain forms would be accepted."""
        return (type(layer) is RoundedLinear and StackedLinear.takes(layer)) or (
            type(layer) is RoundedConv2d and Conv2d.takes(layer)
        )

    def forward(self, params: list[Tensor], x: Tensor) -> tuple[Tensor, Any]:
        """Return the layer's output for rounded numbers; keep them for the backward pass."""
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
        """Return the gradients at the rounded numbers, which pass straight through."""
        weight, needed = kept
        seen = params if weight is None else [weight, params[1]]
        return self.inner.backward(seen, needed, slope, first=first)

    def descend(
        self, params: list[Tensor], kept: Any, slope: Tensor, shrink: Tensor | None, *, first: bool
    ) -> Tensor | None:
        """Move the weights before rounding."""
        weight, needed = kept
        if weight is None:
            return self.inner.descend(params, needed, slope, shrink, first=first)
        return super().descend(params, kept, slope, shrink, first=first)


class Pooling(StackedLayer):
    """nn.MaxPool2d and nn.AvgPool2d by torch's own kernels, which see the batch as channels.

    The batch is last in memory, so the channels-last kernels are vectorised over it, 13 times as
    fast as the plain ones. For a batch of one there is nothing to vectorise over: the plain
    kernels, on its true channels, are faster.
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
        """Return the gradient, at each window's greatest element or spread over the window."""
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


KNOWN: tuple[type[StackedLayer], ...] = (
    StackedLinear,
    Conv2d,
    Activation,
    Pooling,
    Flatten,
    Rounded,
)


def stacked(module: torch.nn.Module) -> dict[str, StackedLayer] | None:
    """Return the layers of an nn.Sequential in trial-axis form, by name.

    None if one of them is unknown, or if two share a parameter.
    """
    if type(module) is not torch.nn.Sequential:
        return None
    own = {name for name, _ in module.named_parameters()}  # a shared parameter is listed once
    layers = {}
    for name, layer in module.named_modules(remove_duplicate=False):
        if layer is module:
            continue
        kind = next((kind for kind in KNOWN if kind.fits(layer)), None)
        if kind is None or not own.issuperset(f"{name}.{p}" for p in kind.parameters):
            return None
        layers[name] = kind(layer)
    return layers
