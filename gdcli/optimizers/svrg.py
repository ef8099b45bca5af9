"""SVRG: each gradient is corrected by the full gradient at a snapshot of the weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge

from gdcli.arrays import plus
from gdcli.method import Method
from gdcli.trees import add

if TYPE_CHECKING:
    from gdcli.method import About, Ask, State
    from gdcli.problem import Array, Params


@dataclass(frozen=True)
class Svrg(Method):
    """param -= lr * (grad(param) - grad(snapshot) + full_grad(snapshot)), for linear models.

    (Johnson and Zhang 2013, procedure SVRG, option I.) Both gradients are of the same batch. The
    snapshot is the present point, taken anew after `svrg.every` steps. Such a step counts all
    training examples besides its batch, and every step counts its batch twice. --clip-norm clips
    the corrected gradient. Each problem has its own rate: about 1 / (10 L), L the largest curvature
    of an example's loss.
    """

    every: Annotated[int, "steps between two snapshots; 0: an epoch", Ge(0)] = 0

    linear_models: ClassVar[bool] = True

    def init(self, params: Params, about: About) -> State:
        """Start with the starting point as snapshot; the first step computes its gradient."""
        return {"snapshot": dict(params), "full": dict(params)}

    def direction(
        self, params: Params, state: State, ask: Ask, lr: Array, step: int
    ) -> tuple[Params, State]:
        """Return the corrected gradient, and the snapshot with its full gradient."""
        if (step - 1) % (self.every or ask.epoch) == 0:
            state = {"snapshot": params, "full": ask.all_examples(params)[1]}
        found = corrected(params, state["snapshot"], state["full"], ask)
        return with_decay(self, found, params, ask), state


def corrected(params: Params, snapshot: Params, full: Params, ask: Ask) -> Params:
    """Return the batch's gradient at a point, corrected by the full one at a snapshot.

    The penalty's gradient at the point is exact: it needs no correction.
    """
    change = ask.example_slopes(params) - ask.example_slopes(snapshot)
    found = add(full, ask.mean_gradient(params, change))
    return penalised(found, add(params, snapshot, -1.0), ask)


def penalised(gradient: Params, params: Params, ask: About) -> Params:
    """Return a gradient of costs with that of the penalty, which acts on the weights alone."""
    if not ask.l2 or "weight" not in params:
        return gradient
    return {**gradient, "weight": gradient["weight"] + ask.l2 * params["weight"]}


def with_decay(rule: Method, gradient: Params, params: Params, ask: Ask) -> Params:
    """Return a gradient, clipped, with the weight decay that is part of it."""
    gradient = ask.clipped(gradient)
    if not rule.decays:
        return gradient
    return {n: plus(g, rule.decay_of(n), params[n]) for n, g in gradient.items()}
