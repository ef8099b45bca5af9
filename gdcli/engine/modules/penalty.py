"""Which parameters of a network --l2 penalises."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


def penalised(module: nn.Module) -> list[str]:
    """Return the names of a module's weights; the scales of norm layers are none."""
    norms = {n for n, layer in module.named_modules() if "norm" in type(layer).__name__.lower()}
    places = ((name, *name.rpartition(".")[::2]) for name, _ in module.named_parameters())
    return [name for name, layer, own in places if "weight" in own and layer not in norms]
