"""nn.Linear and nn.Conv2d that round their weights and what they are given."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import torch

from gdcli.engine.quantization.levels import rounded
from gdcli.problem import BITS

if TYPE_CHECKING:
    from torch import Tensor

    from gdcli.problem import Network


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
