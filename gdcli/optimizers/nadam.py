"""NAdam: Adam with Nesterov's momentum."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge

from gdcli.arrays import namespace
from gdcli.optimizers.adam import Adam

if TYPE_CHECKING:
    from gdcli.optimizer import State
    from gdcli.problem import Array


@dataclass(frozen=True)
class NAdam(Adam):
    """Adam's mean replaced by the mean one step ahead, under a warming beta1 (Dozat 2016).

    The learning rate of 2e-3 is torch.optim's.
    """

    psi: Annotated[float, "how fast beta1 grows from half of its value to all of it", Ge(0)] = 0.004

    default_lr: ClassVar[float | None] = 2e-3

    def init(self, param: Array) -> State:
        """Start with both averages at 0 and the product of all momenta at 1."""
        return super().init(param) | {"mu_product": namespace(param).ones_like(param)}

    def update(self, grad: Array, state: State, param: Array, step: int) -> tuple[Array, State]:
        """Return the mean one step ahead divided by the root of the mean square, bias-corrected."""
        moments = self.moments(grad, state)
        mu, mu_next = self.momentum(step, grad), self.momentum(step + 1, grad)
        product = state["mu_product"] * mu
        ahead = mu_next * moments["mean"] / (1 - product * mu_next)
        ahead = ahead + (1 - mu) * grad / (1 - product)
        return ahead / self.scale(moments["square"], step), moments | {"mu_product": product}

    def momentum(self, step: int, like: Array) -> Array:
        """Return beta1 * (1 - 0.96**(step * psi) / 2) in the dtype of `like`."""
        xp = namespace(like)
        # Also an array if psi is a float, so that a trial has the same bits alone and in a grid.
        exponent = xp.asarray(step * math.log(0.96) * self.psi, dtype=like.dtype)
        return self.beta1 * (1 - 0.5 * xp.exp(exponent))
