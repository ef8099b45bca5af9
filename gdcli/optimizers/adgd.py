"""AdGD: the step size is half the inverse curvature along the last step; it grows slowly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import torch
from annotated_types import Gt

from gdcli import trees
from gdcli.method import Method
from gdcli.optimizers.barzilai_borwein import SameBatch, differences

if TYPE_CHECKING:
    from gdcli.method import About, Ask, State
    from gdcli.problem import Array, Params


@dataclass(frozen=True)
class AdGD(Method):
    """param -= min(sqrt(1 + growth * ratio) * last, |s| / (damping * |y|)) * grad.

    Malitsky and Mishchenko 2020, algorithm 1: s is the last step and y the change of the gradient
    along it, `last` is the last step size and `ratio` its quotient with the one before. The first
    step size is the learning rate, which is to be small; a schedule changes nothing after it. The
    rule needs no line search and, for convex losses and all examples, converges. None of the
    packages that the other rules are compared with has it: its test holds the formula in NumPy.
    """

    growth: Annotated[
        float,
        "how fast the size may grow: 1 in theory, 0.02 in the authors' code for networks",
        Gt(0),
    ] = 1.0
    damping: Annotated[
        float, "divisor of the inverse curvature: 2 in theory, 1 in that code", Gt(0)
    ] = 2.0
    same_batch: SameBatch = False

    default_lr: ClassVar[float | None] = None

    def init(self, params: Params, about: About) -> State:
        """Begin without a last step, and without a limit of the first one."""
        return {
            "params": params,
            "grad": trees.zeros(params),
            "size": trees.number(params),
            "limit": trees.number(params, torch.inf),
        }

    def step(
        self, params: Params, state: State, ask: Ask, lr: Array, step: int
    ) -> tuple[Params, State]:
        """Return the parameters after a step, whose size depends on the first one alone."""
        grad, moved, change = differences(self, params, state, ask, same_batch=self.same_batch)
        length, bend = trees.norm(moved), trees.norm(change)
        known = (length > 0) & (bend > 0)
        size = torch.minimum(
            state["limit"], torch.where(known, length / (self.damping * bend), torch.inf)
        )
        # Nothing is known at the first step, or where a learning rate of 0 made it.
        size = torch.where(torch.isinf(size), lr, size)
        limit = (1 + self.growth * size / state["size"]).sqrt() * size
        after = {
            "params": params,
            "grad": grad,
            "size": size,
            "limit": torch.where(size > 0, limit, torch.inf),
        }
        return trees.add(params, grad, -size), after
