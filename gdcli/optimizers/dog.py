"""DoG: the step size is the distance from the start over the size of all gradients so far."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import torch
from annotated_types import Ge, Gt

from gdcli import trees
from gdcli.method import Method

if TYPE_CHECKING:
    from gdcli.method import About, Ask, State
    from gdcli.problem import Array, Params


@dataclass(frozen=True)
class DoG(Method):
    """param -= lr * largest / sqrt(sum of |grad|**2 + eps) * grad (Ivgi, Hinder and Carmon 2023).

    largest is the largest distance from the start so far. The formulas are those of optax, and what
    is recorded is the newest point, as there. The paper evaluates an average of the points; the
    wrapper `ema` makes one. The learning rate is a factor of the step size: 1 in the paper.
    """

    r0: Annotated[float, "first distance, divided by 1 + the norm of the start", Gt(0)] = 1e-6
    eps: Annotated[float, "added to the sum of the squared gradients", Ge(0)] = 1e-8

    default_lr: ClassVar[float | None] = 1.0

    def init(self, params: Params, about: About) -> State:
        """Keep the start, and begin with a small distance."""
        return {
            "start": params,
            "largest": self.r0 * (1 + trees.norm(params)),
            "total": trees.number(params),
        }

    def direction(
        self, params: Params, state: State, ask: Ask, lr: Array, step: int
    ) -> tuple[Params, State]:
        """Return the gradient times the distance over the root of the sum of squares."""
        _, grad = self.gradient(params, ask)
        distance = trees.norm(trees.add(params, state["start"], -1.0))
        largest = torch.maximum(state["largest"], distance)
        total = state["total"] + trees.dot(grad, grad)
        divisor = (total + self.eps).sqrt()
        # All gradients so far can be 0, and eps as well.
        size = torch.where(divisor > 0, largest / divisor, 0.0)
        return trees.scaled(size, grad), {**state, "largest": largest, "total": total}
