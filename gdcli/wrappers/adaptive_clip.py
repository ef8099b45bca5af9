"""Adaptive gradient clipping: the gradient of each unit is at most a share of its weights."""

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
class AdaptiveClip(OfGradient):
    """grad *= limit * norm(param) / norm(grad) where it is longer (Brock et al. 2021, equation 3).

    Norms are of each row of a matrix, the weights of one unit, of each filter of a convolution, and
    of a vector as a whole, as in pytorch-optimizer; optax takes columns, for weights are transposed
    there. The paper leaves the last layer out; here every parameter is clipped.
    """

    limit: Annotated[float, "largest norm of the gradient, by the norm of the weights", Gt(0)] = (
        0.01
    )
    eps: Annotated[
        float, "the least norm that weights are taken to have, so that zeros can move", Gt(0)
    ] = 1e-3

    def changed(self, ask: Ask, params: Params, loss: Array, gradient: Params) -> Answer:
        """Return the gradient with that of each unit clipped."""
        return loss, {name: self._clipped(params[name], g) for name, g in gradient.items()}

    def _clipped(self, param: Array, slope: Array) -> Array:
        longest = self.limit * unit_norms(param).clamp(min=self.eps)
        norms = unit_norms(slope)
        clipped = slope * (longest / norms.clamp(min=1e-6))
        return torch.where(norms > longest, clipped, slope)


def unit_norms(array: Array) -> Array:
    """Return the norms over all axes but the first, which stays; of a vector its norm."""
    axes = tuple(range(1, array.ndim)) if array.ndim > 1 else tuple(range(array.ndim))
    return array.square().sum(axes, keepdim=array.ndim > 1).sqrt()
