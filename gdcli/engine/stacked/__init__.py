"""The trial-axis forms of known nn layers, one file a kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from gdcli.engine.stacked.activations import Activation
from gdcli.engine.stacked.conv2d import Conv2d
from gdcli.engine.stacked.flatten import Flatten
from gdcli.engine.stacked.linear import Linear
from gdcli.engine.stacked.pooling import Pooling
from gdcli.engine.stacked.rounded import Rounded

if TYPE_CHECKING:
    from gdcli.engine.stacked.layer import StackedLayer

KNOWN: tuple[type[StackedLayer], ...] = (
    Linear,
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
    own = {name for name, _ in module.named_parameters()}  # a shared one is there once
    layers = {}
    for name, layer in module.named_modules(remove_duplicate=False):
        if layer is module:
            continue
        kind = next((kind for kind in KNOWN if kind.fits(layer)), None)
        if kind is None or not own.issuperset(f"{name}.{p}" for p in kind.parameters):
            return None
        layers[name] = kind(layer)
    return layers
