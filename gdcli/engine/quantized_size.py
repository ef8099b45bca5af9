"""How many bytes a network takes, in floats and rounded."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from gdcli.engine.initial import module_of

if TYPE_CHECKING:
    from gdcli.problem import Data, Network

FLOAT = 4  # bytes of a float32: of a parameter that is not rounded, and of a scale


class Quantized(NamedTuple):
    """What is rounded of a network, and the bytes of its parameters before and after."""

    how: str  # none, ptq or qat
    weight_bits: int | None
    activation_bits: int | None
    float_bytes: int
    bytes: int


def quantized_of(problem: Network, data: Data) -> Quantized:
    """Return the size of a network: rounded weights, a scale for each of their outputs, the rest.

    The weights of a layer are packed, so that its last byte may be part empty.
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
