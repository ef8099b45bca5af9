"""Schedule-Free AdamW: AdamW that averages its points instead of lowering its learning rate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from annotated_types import Ge

from gdcli import trees
from gdcli.method import Method
from gdcli.optimizers.adam import Beta2, Eps
from gdcli.optimizers.schedule_free_sgd import (
    Beta,
    RatePower,
    StepPower,
    advanced,
    between,
    start,
    warmed,
)

if TYPE_CHECKING:
    from gdcli.method import About, Ask, State
    from gdcli.problem import Array, Params


@dataclass(frozen=True)
class ScheduleFreeAdamW(Method):
    """z -= lr * grad(y) / (sqrt(square_hat) + eps); x and y as in Schedule-Free SGD.

    Defazio et al. 2024, algorithm 1: gradients are taken at y = beta1 * x + (1 - beta1) * z, and x
    is recorded. The formulas and the default learning rate are those of the package schedulefree,
    in which weight decay is taken at y, or, in its reference class, at z. It is meant for a
    constant learning rate, after a warm-up.
    """

    beta1: Beta = 0.9
    beta2: Beta2 = 0.999
    eps: Eps = 1e-8
    warmup_steps: Annotated[int, "steps in which the learning rate grows linearly", Ge(0)] = 0
    r: StepPower = 0.0
    weight_lr_power: RatePower = 2.0
    decay_at: Annotated[
        Literal["y", "z"], "point that weight decay is taken at: that of the gradients, or z"
    ] = "y"

    decoupled: ClassVar[bool] = True
    default_lr: ClassVar[float | None] = 0.0025
    decays_itself: ClassVar[bool] = True

    def init(self, params: Params, about: About) -> State:
        """Start with all three points at the same place."""
        return {**start(params), "square": trees.zeros(params)}

    def step(
        self, params: Params, state: State, ask: Ask, lr: Array, step: int
    ) -> tuple[Params, State]:
        """Return the next y, and the state with the next x and z."""
        _, grad = self.gradient(params, ask)
        squares = {name: g * g for name, g in grad.items()}
        square = trees.mixed(state["square"], squares, self.beta2)
        biased = 1 - self.beta2**step
        way = {n: g / ((square[n] / biased).sqrt() + self.eps) for n, g in grad.items()}
        way = trees.add(way, state["z"] if self.decay_at == "z" else params, self.weight_decay)
        rate = warmed(lr, step, self.warmup_steps)
        after = advanced(self, {**state, "square": square}, way, rate, step)
        return between(after, self.beta1), after

    def at(self, params: Params, state: State) -> Params:
        """Return the average x."""
        average: Params = state["x"]
        return average
