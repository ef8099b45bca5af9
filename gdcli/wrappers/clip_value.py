"""Clipping by value: each coordinate of the gradient has at most a given size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from annotated_types import Gt

from gdcli.assembly import OfGradient

if TYPE_CHECKING:
    from gdcli.assembly import Answer
    from gdcli.method import Ask
    from gdcli.problem import Array, Params


@dataclass(frozen=True)
class ClipValue(OfGradient):
    """grad = min(max(grad, -limit), limit), as torch.nn.utils.clip_grad_value_ (Mikolov 2012)."""

    limit: Annotated[float, "largest size of a coordinate of the gradient", Gt(0)] = 1.0

    def changed(self, ask: Ask, params: Params, loss: Array, gradient: Params) -> Answer:
        """Return the gradient between the limits."""
        return loss, {n: slope.clamp(-self.limit, self.limit) for n, slope in gradient.items()}
