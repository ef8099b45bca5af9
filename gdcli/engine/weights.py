"""A network's weights for other programs: as integers and scales, or as PyTorch's state_dict."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from gdcli.engine.initial import module_of
from gdcli.engine.layers.quantized import RoundedConv2d, RoundedLinear, levels
from gdcli.errors import UserError
from gdcli.problem import BITS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from gdcli.problem import Data, Network, StatefulNetwork


def layers_of(problem: Network, data: Data) -> dict[str, torch.nn.Module]:
    """Return the layers by name, in order; raises UserError for a layer without integers."""
    module = module_of(problem, data)
    plain = isinstance(module, torch.nn.Sequential)
    layers = dict(module.named_children()) if plain else {"": module}
    for name, layer in layers.items():
        known = isinstance(layer, RoundedConv2d | RoundedLinear)
        if not known and next(layer.parameters(), None) is not None:
            what = f"the layer {name or 'of the module'}, {type(layer).__name__}, has no integers"
            raise UserError("--to", what, "linear layers and convolutions in nn.Sequential have")
    return layers


def integers_of(
    problem: Network,
    layers: Mapping[str, torch.nn.Module],
    params: Mapping[str, NDArray[Any]],
) -> dict[str, Any]:
    """Return the weights as int8, their scales and the biases as float32, by name.

    "layers" has the names and kinds of all layers, "bits" the bits of a weight and of an
    activation.
    """
    bits = problem.weight_bits or BITS
    held: dict[str, Any] = {
        "layers": np.array([f"{name} {_kind(layer)}" for name, layer in layers.items()]),
        "bits": np.array([bits, problem.activation_bits or BITS]),
    }
    for name, layer in layers.items():
        if not hasattr(layer, "rounding"):
            continue
        weight = torch.from_numpy(np.ascontiguousarray(params[f"{name}.weight"]))
        whole, scale = levels(weight, bits, tuple(range(1, weight.ndim)))
        held[f"{name}.weight"] = whole.to(torch.int8).numpy()
        held[f"{name}.scale"] = scale.flatten().float().numpy()
        held[f"{name}.bias"] = np.asarray(params[f"{name}.bias"], np.float32)
    return held


def _kind(layer: torch.nn.Module) -> str:
    """Return a layer as PyTorch prints it, without the word Rounded."""
    return repr(layer).replace("Rounded", "")


def state_dict(
    problem: Network | StatefulNetwork,
    data: Data,
    dtype: str,
    numbers: Mapping[str, NDArray[Any]],
) -> bytes:
    """Return the bytes that torch.save writes for the state_dict of the problem's module.

    `numbers` are its parameters and buffers by name. A buffer without numbers stays as the module
    makes it.
    """
    module = module_of(problem, data).to(getattr(torch, dtype))
    held = dict(module.named_parameters()) | dict(module.named_buffers())
    with torch.no_grad():
        for name, array in numbers.items():
            held[name].copy_(torch.from_numpy(array))
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    return file.getvalue()
