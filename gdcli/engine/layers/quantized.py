"""nn.Linear and nn.Conv2d that round their weights and what they are given.

Numbers as a few integer levels and a scale.
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
    """Return whole numbers of the given bits, and the scale that they are to be multiplied by.

    Each slice along `axes` has a scale of its own, symmetric about 0: the largest magnitude is the
    largest level, 2^(bits - 1) - 1 (Jacob et al. 2018). Of two bits the largest magnitude would
    round almost everything to 0: there the scale is the mean magnitude (Ma et al. 2024).
    """
    largest = 2 ** (bits - 1) - 1
    sizes = x.abs()
    size = sizes.mean(axes, keepdim=True) if bits == TERNARY else sizes.amax(axes, keepdim=True)
    scale = torch.where(size > 0, size / largest, 1.0)
    return (x / scale).round().clamp(-largest, largest), scale


def rounded(x: Tensor, bits: int, axes: tuple[int, ...]) -> Tensor:
    """Return the numbers that the levels stand for; autograd passes their slopes straight through.

    The straight-through estimator (Bengio, Leonard and Courville 2013): rounding has the slope 0
    almost everywhere, and is differentiated as if it were not there, clamping included.
    """
    if bits == FLOAT:
        return x
    whole, scale = levels(x.detach(), bits, axes)
    return whole * scale + (x - x.detach())


@dataclass
class Rounding:
    """How the layers of one network round; they share it, to be switched on and off together."""

    weight_bits: int
    activation_bits: int
    trains: bool  # with rounding on; else it is on to measure only
    on: bool = False

    def reach(self, step: int, turn: int) -> None:
        """Round from a turn on, where the network is trained so."""
        if self.trains:
            self.on = step >= turn

    @contextmanager
    def switched_on(self) -> Iterator[None]:
        """Round for a while, to measure what it does."""
        before, self.on = self.on, True
        try:
            yield
        finally:
            self.on = before

    def weight(self, weight: Tensor, outputs: int = 0) -> Tensor:
        """Return weights, rounded with a scale for each of the outputs, the axis of that number."""
        return rounded(weight, self.weight_bits, tuple(range(outputs + 1, weight.ndim)))

    def activation(self, x: Tensor, axes: tuple[int, ...]) -> Tensor:
        """Return activations, rounded with a scale for each example: `axes` are all others.

        It depends on no other example, so neither on the batch nor on anything seen before.
        """
        return rounded(x, self.activation_bits, axes)


class RoundedLinear(torch.nn.Linear):
    """A linear layer that rounds while `rounding` is on."""

    rounding: Rounding

    def forward(self, x: Tensor) -> Tensor:
        """Return W x + b, with W and x rounded, b as it is."""
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
    """Return a network's module with its linear layers and convolutions rounding, where asked for.

    It is off until an engine switches it on: to train, or to measure what it does.
    """
    if problem.quantize == "none":
        return module
    # A network with an own __post_init__ may leave them None.
    bits = problem.weight_bits or BITS, problem.activation_bits or BITS
    rounding = Rounding(*bits, trains=problem.quantize == "qat")
    for layer in module.modules():
        if type(layer) in ROUNDED:
            # The parameters, their names and hooks stay; only what forward does is another.
            layer.__class__ = ROUNDED[type(layer)]
            cast("Any", layer).rounding = rounding
    return module


def rounding_of(module: torch.nn.Module) -> Rounding | None:
    """Return what the layers of a module share; None where none rounds."""
    found = (getattr(layer, "rounding", None) for layer in module.modules())
    return next((rounding for rounding in found if isinstance(rounding, Rounding)), None)
