"""Sharpness-aware minimisation: the gradient is that at the top of a small ascent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge

from gdcli.asks import OfGradient
from gdcli.trees import add, norm, scaled

if TYPE_CHECKING:
    from gdcli.asks import Answer
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

    def changed(self, ask: Ask, params: Params, loss: Array, gradient: Params) -> Answer:
        """Return the loss at the point, and the gradient at the top of the ascent."""
        sizes = {name: param.abs() for name, param in params.items()}
        felt = {n: sizes[n] * g for n, g in gradient.items()} if self.adaptive else gradient
        ascent = {n: sizes[n] * g for n, g in felt.items()} if self.adaptive else gradient
        top = add(params, scaled(self.rho / (norm(felt) + 1e-12), ascent))
        return loss, ask(top)[1]
