"""Schedule-Free RAdam: Schedule-Free AdamW that needs no warm-up, by the rectifier of RAdam."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import torch

from gdcli import trees
from gdcli.method import Method
from gdcli.optimizers.adam import Beta2, Eps
from gdcli.optimizers.schedule_free_sgd import Beta, RatePower, StepPower, advanced, between, start

if TYPE_CHECKING:
    from gdcli.method import About, Ask, State
    from gdcli.problem import Array, Params


@dataclass(frozen=True)
class ScheduleFreeRAdam(Method):
    """z -= lr * rectifier * grad(y) / (sqrt(square_hat) + eps); x and y as in Schedule-Free SGD.

    Liu et al. 2020 and Defazio et al. 2024, as in the package schedulefree: in the first steps, in
    which the mean square is not reliable, z stands still or follows the gradient. Weight decay is
    taken at y. The default learning rate is that of the package.
    """

    beta1: Beta = 0.9
    beta2: Beta2 = 0.999
    eps: Eps = 1e-8
    r: StepPower = 0.0
    weight_lr_power: RatePower = 2.0
    silent_sgd_phase: Annotated[
        bool, "stand still while the mean square is not reliable, instead of plain descent"
    ] = True

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
        # Always float64: whether rho exceeds 4 must not depend on rounding.
        beta2 = trees.number(params).double() + self.beta2
        biased = 1 - beta2**step
        rho_inf = 2 / (1 - beta2) - 1
        rho = rho_inf - 2 * step * beta2**step / biased
        reliable = rho > 4
        rectifier = (rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho)
        factor = torch.where(reliable, rectifier, float(not self.silent_sgd_phase)).sqrt()
        biased = biased.to(state["total"].dtype)
        way = {
            name: torch.where(reliable, g / ((square[name] / biased).sqrt() + self.eps), g)
            for name, g in grad.items()
        }
        way = trees.add(way, params, self.weight_decay)
        rate = lr * factor.to(state["total"].dtype)
        after = advanced(self, {**state, "square": square}, way, rate, step)
        return between(after, self.beta1), after

    def at(self, params: Params, state: State) -> Params:
        """Return the average x."""
        average: Params = state["x"]
        return average
