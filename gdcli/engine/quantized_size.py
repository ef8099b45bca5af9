"""How many bytes a network takes, in floats and rounded."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from gdcli.engine.initial import module_of

if TYPE_CHECKING:
    from gdcli.problem import Data, Network

FLOAT = 4  # bytes of a float32: a parameter that is not rounded, or a scale


class Quantized(NamedTuple):
    """How a network is rounded, and the bytes of its parameters before and after."""

    how: str  # none, ptq or qat
    weight_bits: int | None
    activation_bits: int | None
    float_bytes: int
    bytes: int


def quantized_of(problem: Network, data: Data) -> Quantized:
    """Return a network's bytes: rounded weights, a scale for each output, the rest in floats.

    The weights of a layer are packed, so its last byte may be partly empty.
    """
    from gdcli.engine.layers.quantized import RoundedConv2d, RoundedLinear

    module = module_of(problem, data)
    whole = sum(parameter.numel() for parameter in module.parameters()) * FLOAT
    size = whole
    for layer in module.modules():
        if isinstance(layer, RoundedLinear | RoundedConv2d):
            weights, outputs = layer.weight.numel(), len(layer.weight)
            size += -(-weights * layer.rounding.weight_bits // 8) + FLOAT * (outputs - weights)
    return Quantized(problem.quantize, problem.weight_bits, problem.activation_bits, whole, size)
