"""DoWG: like DoG, with gradients weighted by the distance from the start at which they were."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import torch
from annotated_types import Gt

from gdcli import trees
from gdcli.method import Method

if TYPE_CHECKING:
    from gdcli.method import About, Ask, State
    from gdcli.problem import Array, Params


@dataclass(frozen=True)
class DoWG(Method):
    """param -= lr * r2 / (sqrt(sum of r2 * |grad|**2) + eps) * grad.

    Khaled, Mishchenko and Jin 2023, algorithm 1: r2 is the largest squared distance from the start
    so far. The formulas are those of optax, and what is recorded is the newest point, as there;
    the paper's theory is about a weighted average of the points. The learning rate is a factor of
    the step size: 1 in the paper.
    """

    r2: Annotated[float, "first squared distance: a small number", Gt(0)] = 1e-4
    eps: Annotated[float, "added to the divisor, so that it is never 0", Gt(0)] = 1e-4

    default_lr: ClassVar[float | None] = 1.0

    def init(self, params: Params, about: About) -> State:
        """Keep the start, and begin with a small distance."""
        number = trees.number(params)
        return {"start": params, "largest": number + self.r2, "total": number}

    def direction(
        self, params: Params, state: State, ask: Ask, lr: Array, step: int
    ) -> tuple[Params, State]:
        """Return the gradient times the squared distance over the root of the weighted sum."""
        _, grad = self.gradient(params, ask)
        away = trees.add(params, state["start"], -1.0)
        largest = torch.maximum(state["largest"], trees.dot(away, away))
        total = state["total"] + largest * trees.dot(grad, grad)
        direction = trees.scaled(largest / (total.sqrt() + self.eps), grad)
        return direction, {**state, "largest": largest, "total": total}
