"""Quantization: nn.Linear and nn.Conv2d that round their weights and inputs.

A rounded number is one of a few integer levels, times a scale.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import torch

from gdcli.problem import BITS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from gdcli.problem import Network

TERNARY = 2  # bits: the levels -1, 0 and 1
FLOAT = 32  # bits: not rounded at all


def levels(x: Tensor, bits: int, axes: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Return integers of the given bits, and the scale to multiply them by.

    Each slice along `axes` has a scale of its own, symmetric about 0: the largest magnitude is the
    largest level, 2^(bits - 1) - 1 (Jacob et al. 2018). With two bits, the largest magnitude would
    round almost everything to 0: there the scale is the mean magnitude (Ma et al. 2024).
    """
    largest = 2 ** (bits - 1) - 1
    sizes = x.abs()
    size = sizes.mean(axes, keepdim=True) if bits == TERNARY else sizes.amax(axes, keepdim=True)
    scale = torch.where(size > 0, size / largest, 1.0)
    return (x / scale).round().clamp(-largest, largest), scale


def rounded(x: Tensor, bits: int, axes: tuple[int, ...]) -> Tensor:
    """Return the rounded numbers; gradients pass straight through.

    The straight-through estimator (Bengio, Leonard and Courville 2013): the derivative of rounding
    is 0 almost everywhere, so rounding, and clamping with it, is differentiated as the identity.
    """
    if bits == FLOAT:
        return x
    whole, scale = levels(x.detach(), bits, axes)
    return whole * scale + (x - x.detach())


@dataclass
class Rounding:
    """How the layers of one network round: they share it, and are switched together."""

    weight_bits: int
    activation_bits: int
    trains: bool  # with rounding on; else it is on for evaluation only
    on: bool = False

    def set_step(self, step: int, from_step: int) -> None:
        """Switch rounding on once its step is reached, if the network is trained with it."""
        if self.trains:
            self.on = step >= from_step

    @contextmanager
    def switched_on(self) -> Iterator[None]:
        """Switch rounding on within a `with` block, to evaluate the rounded network."""
        before, self.on = self.on, True
        try:
            yield
        finally:
            self.on = before

    def weight(self, weight: Tensor, outputs: int = 0) -> Tensor:
        """Return rounded weights, with a scale for each index of the axis of outputs."""
        return rounded(weight, self.weight_bits, tuple(range(outputs + 1, weight.ndim)))

    def activation(self, x: Tensor, axes: tuple[int, ...]) -> Tensor:
        """Return rounded activations, with a scale for each example: `axes` are all other axes.

        The scale depends on no other example, neither of the batch nor seen before.
        """
        return rounded(x, self.activation_bits, axes)


class RoundedLinear(torch.nn.Linear):
    """A linear layer that rounds while `rounding` is on."""

    rounding: Rounding

    def forward(self, x: Tensor) -> Tensor:
        """Return W x + b with rounded W and x; b is not rounded."""
        if not self.rounding.on:
            return super().forward(x)
        weight, x = _rounded_inputs(self, x)
        y: Tensor = torch.nn.functional.linear(x, weight, self.bias)
        return y


class RoundedConv2d(torch.nn.Conv2d):
    """A convolution that rounds while `rounding` is on."""

    rounding: Rounding

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolution of the rounded input with the rounded weights, plus the bias."""
        if not self.rounding.on:
            return super().forward(x)
        weight, x = _rounded_inputs(self, x)
        y: Tensor = self._conv_forward(x, weight, self.bias)
        return y


def _rounded_inputs(layer: RoundedLinear | RoundedConv2d, x: Tensor) -> tuple[Tensor, Tensor]:
    axes = tuple(range(1, x.ndim))
    return layer.rounding.weight(layer.weight), layer.rounding.activation(x, axes)


ROUNDED: dict[type, type] = {torch.nn.Linear: RoundedLinear, torch.nn.Conv2d: RoundedConv2d}


def with_rounding(module: torch.nn.Module, problem: Network) -> torch.nn.Module:
    """Return a network's module, with rounding linear layers and convolutions if it asks for them.

    Rounding is off until an engine switches it on: to train, or to evaluate.
    """
    if problem.quantize == "none":
        return module
    # A network with an own __post_init__ may leave them None.
    bits = problem.weight_bits or BITS, problem.activation_bits or BITS
    rounding = Rounding(*bits, trains=problem.quantize == "qat")
    for layer in module.modules():
        if type(layer) in ROUNDED:
            # The parameters, their names and hooks stay; only `forward` changes.
            layer.__class__ = ROUNDED[type(layer)]
            cast("Any", layer).rounding = rounding
    return module


def rounding_of(module: torch.nn.Module) -> Rounding | None:
    """Return the rounding that a module's layers share; None: no layer rounds."""
    found = (getattr(layer, "rounding", None) for layer in module.modules())
    return next((rounding for rounding in found if isinstance(rounding, Rounding)), None)
