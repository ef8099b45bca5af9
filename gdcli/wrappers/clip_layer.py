"""Clipping by layer: the gradient of each parameter has at most a given norm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import torch
from annotated_types import Gt

from gdcli.assembly import OfGradient

if TYPE_CHECKING:
    from gdcli.assembly import Answer
    from gdcli.method import Ask
    from gdcli.problem import Array, Params


@dataclass(frozen=True)
class ClipLayer(OfGradient):
    """grad *= min(1, limit / (norm + 1e-6)), for each parameter by itself.

    This is torch.nn.utils.clip_grad_norm_ of one parameter at a time, with its 1e-6; --clip-norm is
    of the whole gradient (Pascanu, Mikolov and Bengio 2013, algorithm 1).
    """

    limit: Annotated[float, "largest norm of the gradient of a parameter", Gt(0)] = 1.0

    def changed(self, ask: Ask, params: Params, loss: Array, gradient: Params) -> Answer:
        """Return the gradient with each parameter's share clipped."""
        return loss, {name: self._clipped(slope) for name, slope in gradient.items()}

    def _clipped(self, slope: Array) -> Array:
        norm = slope.square().sum().sqrt()
        return slope * torch.clamp(self.limit / (norm + 1e-6), max=1.0)
