"""Sharpness-aware minimisation: the gradient is that at the top of a small ascent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge

from gdcli.arrays import plus
from gdcli.assembly import OfGradient
from gdcli.trees import norm

if TYPE_CHECKING:
    from gdcli.assembly import Answer
    from gdcli.method import Ask
    from gdcli.problem import Array, Params


@dataclass(frozen=True)
class Sam(OfGradient):
    """grad = gradient at param + rho * grad / norm(grad), of the same batch.

    (Foret, Kleiner, Mobahi and Neyshabur 2021, algorithm 1.) Each step takes two gradients, and
    counts the examples of both. 1e-12 is added to the norm, as in pytorch-optimizer.
    """

    rho: Annotated[float, "length of the ascent", Ge(0)] = 0.05

    adaptive: ClassVar[bool] = False
    asks_elsewhere: ClassVar[bool] = True  # not at the parameters alone
    stacks: ClassVar[bool] = True

    def changed(self, ask: Ask, params: Params, loss: Array, gradient: Params) -> Answer:
        """Return the loss at the point, and the gradient at the top of the ascent."""
        felt = ascent = gradient
        if self.adaptive:
            sizes = {name: param.abs() for name, param in params.items()}
            felt = {name: sizes[name] * slope for name, slope in gradient.items()}
            ascent = {name: sizes[name] * slope for name, slope in felt.items()}
        share = self.rho / (norm(felt, loss.ndim) + 1e-12)
        top = {name: plus(param, share, ascent[name]) for name, param in params.items()}
        return loss, ask(top)[1]
