"""Polyak step (SPS): the larger the loss and the smaller its gradient, the larger the step size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, TypeAlias

import torch
from annotated_types import Gt

from gdcli import trees
from gdcli.method import Method

if TYPE_CHECKING:
    from gdcli.method import Ask, State
    from gdcli.problem import Array, Params


LowerBound: TypeAlias = Annotated[float, "smallest loss that a batch can have"]


@dataclass(frozen=True)
class Polyak(Method):
    """param -= min((loss - lower_bound) / (c * |grad|**2), lr) * grad.

    Loizou et al. 2021, equation SPS_max: loss and gradient are those of the batch, and the learning
    rate is the largest step size, 1 by default as in optax. A loss below the lower bound makes no
    step (Garrigos et al. 2023: SPS+). Weight decay is part of the loss, so that half of it times
    |param|**2 counts. optax multiplies the gradient by its factor `scaling` before it measures
    the norm, and makes no step where |grad|**2 is below the precision of its numbers; here that
    holds for 0 alone.
    """

    c: Annotated[
        float,
        "divisor of the step size: 1 for convex losses in theory, 0.5 for strongly convex",
        Gt(0),
    ] = 1.0
    lower_bound: LowerBound = 0.0

    default_lr: ClassVar[float | None] = 1.0

    def direction(
        self, params: Params, state: State, ask: Ask, lr: Array, step: int
    ) -> tuple[Params, State]:
        """Return the gradient times the share of the learning rate that is used."""
        loss, grad = penalized(self, params, ask)
        gap = (loss - self.lower_bound).clamp(min=0.0)
        size = quotient(gap, self.c * trees.dot(grad, grad)).clamp(max=lr)
        return trees.scaled(quotient(size, lr), grad), state


def penalized(rule: Method, params: Params, ask: Ask) -> tuple[Array, Params]:
    """Return loss and gradient of the batch, both with the weight decay."""
    loss, grad = rule.gradient(params, ask)
    if rule.decays:
        halves = [rule.decay_of(n) / 2 * (p * p).sum() for n, p in params.items()]
        loss = loss + sum(halves)
    return loss, grad


def quotient(above: Array, below: Array) -> Array:
    """Return a quotient of scalars, 0 where the dividend is 0, whatever divides it."""
    return torch.where(above == 0, 0.0, above / below)
