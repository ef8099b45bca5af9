"""Katyusha: SVRG with a momentum that is held back towards the snapshot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge, Gt, Le

from gdcli.method import Method
from gdcli.optimizers.svrg import corrected, with_decay
from gdcli.trees import add, mixed, number, scaled, zeros

if TYPE_CHECKING:
    from gdcli.method import About, Ask, State
    from gdcli.problem import Array, Params


@dataclass(frozen=True)
class Katyusha(Method):
    """x = tau1 * z + tau2 * snapshot + (1 - tau1 - tau2) * param, for linear models.

    z -= lr / tau1 * grad and param = x - lr * grad, grad as in SVRG but at x (Allen-Zhu 2017,
    algorithm 1, option I, with lr for 1 / (3 L); the penalty and weight decay are part of grad).
    The snapshot is the mean of the params since the last one, each weighed 1 + alpha * sigma times
    as much as the one before: alpha is lr / tau1, sigma the strength of penalty and decay. tau1 is
    min(sqrt(m * sigma / (3 L)), 1/2) in the paper, m the steps between snapshots. Such a step
    counts all training examples besides its batch, and every step counts its batch twice.
    --clip-norm clips grad.
    """

    tau1: Annotated[float, "weight of the point with momentum", Gt(0), Le(0.5)] = 0.5
    tau2: Annotated[float, "weight of the snapshot", Ge(0), Le(0.5)] = 0.5
    every: Annotated[int, "steps between two snapshots; 0: two epochs", Ge(0)] = 0

    linear_models: ClassVar[bool] = True
    decay_alike: ClassVar[bool] = True  # the steps of the snapshot depend on it
    decays_itself: ClassVar[bool] = True

    def init(self, params: Params, about: About) -> State:
        """Start with all points at the starting point; the first step computes its gradient."""
        points = {"z": dict(params), "snapshot": dict(params), "full": dict(params)}
        return {**points, **_nothing(params)}

    def step(
        self, params: Params, state: State, ask: Ask, lr: Array, step: int
    ) -> tuple[Params, State]:
        """Return the next param, and the state with the next z and mean."""
        if (step - 1) % (self.every or 2 * ask.epoch) == 0:
            state = self._renewed(state, ask, first=step == 1)
        z, snapshot = state["z"], state["snapshot"]
        held = add(scaled(1 - self.tau1 - self.tau2, params), snapshot, self.tau2)
        x = add(held, z, self.tau1)
        gradient = with_decay(self, corrected(x, snapshot, state["full"], ask), x, ask)
        alpha = lr / self.tau1
        z, params = add(z, gradient, -alpha), add(x, gradient, -lr)
        sigma = ask.l2 + (self.weight_decay if self.decays else 0.0)
        # The weights of the means may grow without end: the newest one is kept at 1.
        older = state["weight"] / (1 + alpha * sigma)
        mean = mixed(state["mean"], params, older / (older + 1))
        return params, {**state, "z": z, "mean": mean, "weight": older + 1}

    def _renewed(self, state: State, ask: Ask, *, first: bool) -> State:
        """Return the state with a new snapshot, its full gradient, and no mean yet."""
        snapshot = state["snapshot"] if first else state["mean"]
        _, full = ask.all_examples(snapshot)
        return {"z": state["z"], "snapshot": snapshot, "full": full, **_nothing(snapshot)}


def _nothing(params: Params) -> State:
    """Return a mean of no points: its weight is 0."""
    return {"mean": zeros(params), "weight": number(params)}
