"""Barzilai-Borwein: the step size is the inverse of the curvature along the last step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, TypeAlias

import torch

from gdcli import trees
from gdcli.method import Method

if TYPE_CHECKING:
    from gdcli.method import About, Ask, State
    from gdcli.problem import Array, Params


SameBatch: TypeAlias = Annotated[
    bool,
    "compare two gradients of the same batch, for mini-batches; a step then costs two",
]


@dataclass(frozen=True)
class BarzilaiBorwein(Method):
    """param -= <s, s> / <s, y> * grad, or <s, y> / <y, y> * grad (Barzilai and Borwein 1988).

    s is the last step and y the change of the gradient along it. Where <s, y> is not positive, and
    for the first step, the size is the learning rate; a schedule changes these sizes alone. The
    rule is made for the gradient of all examples. There is no line search, so that the loss may
    rise for some steps, and far from a quadratic loss the rule may diverge. No package
    that gdcli compares rules with has this one; gdcli's tests compare it with the formula in NumPy.
    """

    size: Annotated[
        Literal["long", "short"],
        "step size: long is the inverse curvature of the last step, short is that of the change of "
        "the gradient, and never larger",
    ] = "long"
    same_batch: SameBatch = False

    default_lr: ClassVar[float | None] = None

    def init(self, params: Params, about: About) -> State:
        """Begin without a last step."""
        return {"params": params, "grad": trees.zeros(params)}

    def step(
        self, params: Params, state: State, ask: Ask, lr: Array, step: int
    ) -> tuple[Params, State]:
        """Return the parameters after a step, whose size does not depend on the learning rate."""
        grad, moved, change = differences(self, params, state, ask, same_batch=self.same_batch)
        along = trees.dot(moved, change)
        if self.size == "long":
            size = trees.dot(moved, moved) / along
        else:
            size = along / trees.dot(change, change)
        size = torch.where(along > 0, size, lr)
        return trees.add(params, grad, -size), {"params": params, "grad": grad}


def differences(
    rule: Method, params: Params, state: State, ask: Ask, *, same_batch: bool
) -> tuple[Params, Params, Params]:
    """Return the gradient, the last step, and the change of the gradient along it.

    `state` holds the last point and its gradient. At the first step, the last point is the first
    one, and the last step is 0.
    """
    _, grad = rule.gradient(params, ask)
    last = rule.gradient(state["params"], ask)[1] if same_batch else state["grad"]
    return grad, trees.add(params, state["params"], -1.0), trees.add(grad, last, -1.0)
