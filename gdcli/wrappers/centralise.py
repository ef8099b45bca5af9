"""Gradient centralisation: the gradient of each unit's weights has mean 0."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gdcli.assembly import OfGradient

if TYPE_CHECKING:
    from gdcli.assembly import Answer
    from gdcli.method import Ask
    from gdcli.problem import Array, Params


@dataclass(frozen=True)
class Centralise(OfGradient):
    """grad -= its mean over the weights of a unit (Yong, Huang, Hua and Zhang 2020, equation 1).

    A unit's weights are a row of a matrix or a filter of a convolution. Vectors stay as they are.
    """

    def changed(self, ask: Ask, params: Params, loss: Array, gradient: Params) -> Answer:
        """Return the centralised gradient."""
        return loss, {name: centralised(slope) for name, slope in gradient.items()}


def centralised(slope: Array) -> Array:
    """Return an array without its mean over all axes but the first; a vector as it is."""
    if slope.ndim < 2:
        return slope
    return slope - slope.mean(tuple(range(1, slope.ndim)), keepdim=True)
