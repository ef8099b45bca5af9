"""ASGD: gradient descent with falling rates, whose result is the mean of its points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge

from gdcli.method import Method

if TYPE_CHECKING:
    from gdcli.method import About, Ask, State
    from gdcli.problem import Array, Params


@dataclass(frozen=True)
class ASGD(Method):
    """param -= rate * (grad + decay * param), rate = lr / (1 + decay * lr * steps before)**power.

    What is recorded is the mean of all points after the first `start` steps, and until then the
    point itself (Polyak and Juditsky 1992; rates: Bottou 2012). As torch.optim.ASGD, whose mean is
    its state `ax`, whose t0 is start - 1, and whose learning rate of 1e-2 is taken. The mean of
    torch's starts after a million steps unless told otherwise; here all points are in it.
    """

    decay: Annotated[
        float, "decay of the parameters, which sets how fast the rate falls", Ge(0)
    ] = 1e-4
    power: Annotated[float, "power with which the rate falls", Ge(0)] = 0.75
    start: Annotated[int, "steps before the mean begins", Ge(0)] = 0

    default_lr: ClassVar[float | None] = 1e-2

    def init(self, params: Params, about: About) -> State:
        """Start with the mean at the starting point."""
        return {"mean": dict(params)}

    def direction(
        self, params: Params, state: State, ask: Ask, lr: Array, step: int
    ) -> tuple[Params, State]:
        """Return the gradient and the decay, times the rate's share of the learning rate."""
        _, grad = self.gradient(params, ask)
        share = (1 + self.decay * lr * (step - 1)) ** -self.power
        return {n: share * (g + self.decay * params[n]) for n, g in grad.items()}, state

    def step(
        self, params: Params, state: State, ask: Ask, lr: Array, step: int
    ) -> tuple[Params, State]:
        """Return the parameters after a step, and the mean with them."""
        direction, state = self.direction(params, state, ask, lr, step)
        moved = self.move(params, direction, lr)
        weight = 1 / max(1, step - self.start)
        mean = {n: m + weight * (moved[n] - m) for n, m in state["mean"].items()}
        return moved, {"mean": mean}

    def at(self, params: Params, state: State) -> Params:
        """Return the mean."""
        mean: Params = state["mean"]
        return mean
