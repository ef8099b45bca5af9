"""ALI-G: a Polyak step with Nesterov momentum, for losses that can reach their lower bound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Gt

from gdcli import trees
from gdcli.method import Method
from gdcli.optimizers.momentum import Velocity
from gdcli.optimizers.polyak import LowerBound, penalized

if TYPE_CHECKING:
    from gdcli.method import About, Ask, State
    from gdcli.problem import Array, Params


@dataclass(frozen=True)
class ALIG(Method):
    """velocity = beta * velocity - size * grad; param += beta * velocity - size * grad.

    size = min((loss - lower_bound) / (|grad|**2 + eps), lr) (Berrada, Zisserman and Kumar 2020):
    the learning rate is the largest step size, and the default is that of the authors' example.
    Weight decay is part of the loss, so that half of it times |param|**2 counts; the paper bounds
    the norm of the parameters instead. pytorch_optimizer rounds |grad|**2 to float32; here it has
    the precision of the parameters.
    """

    beta: Velocity = 0.0
    eps: Annotated[float, "added to the squared norm of the gradient", Gt(0)] = 1e-5
    lower_bound: LowerBound = 0.0

    default_lr: ClassVar[float | None] = 0.1

    def init(self, params: Params, about: About) -> State:
        """Start with a velocity of 0."""
        return {"velocity": trees.zeros(params)}

    def step(
        self, params: Params, state: State, ask: Ask, lr: Array, step: int
    ) -> tuple[Params, State]:
        """Return the parameters after a step: the velocity holds the sizes of earlier steps."""
        loss, grad = penalized(self, params, ask)
        gap = (loss - self.lower_bound).clamp(min=0.0)
        size = (gap / (trees.dot(grad, grad) + self.eps)).clamp(max=lr)
        velocity = trees.add(trees.scaled(self.beta, state["velocity"]), grad, -size)
        moved = trees.add(trees.add(params, grad, -size), velocity, self.beta)
        return moved, {"velocity": velocity}
