"""Newton-CG: the Newton direction by conjugate gradients, with a line search in each batch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge

from gdcli.method import Method, State
from gdcli.optimizers._line_search import Batch, Decrease, Points, line, strong_wolfe
from gdcli.optimizers._truncated import Forcing, conjugate_gradients

if TYPE_CHECKING:
    from gdcli.method import Ask
    from gdcli.problem import Array, Params


@dataclass(frozen=True)
class NewtonCg(Method):
    """param += t * z, z about the solution of Hessian * z = -grad (Nocedal and Wright 2006, 7.1).

    z is found by products with the batch's Hessian, until the residual is small beside the
    gradient, and no further than a direction of negative curvature, all as in scipy.optimize's
    Newton-CG. t is the first step, from `lr` on, that decreases the loss enough; scipy's must
    flatten the slope, too. A curvature counts as 0 below the rounding of |direction|**2, and in
    scipy below 7e-16, a number that depends on the scale of the loss; scipy then stops, and this
    rule steps along -grad. The default of `lr` is the whole Newton step.
    """

    products: Annotated[int, "largest number of Hessian products in one step", Ge(1)] = 100
    forcing: Forcing = 0.5
    c: Decrease = 1e-4
    trials: Points = 25

    default_lr: ClassVar[float] = 1.0
    asks_elsewhere: ClassVar[bool] = True
    needs_curvature: ClassVar[bool] = True

    def step(
        self, params: Params, state: State, ask: Ask, lr: Array, step: int
    ) -> tuple[Params, State]:
        """Return the point that the line search finds along the truncated Newton direction."""
        batch = Batch(self, ask, params)
        x = batch.vector(params)
        loss, grad = batch.slopes(x)
        product = partial(self.product, batch, x)
        direction, _ = conjugate_gradients(product, grad, ask, self.forcing, self.products)
        along = line(batch, x, loss, grad, direction)
        first = lr * loss.new_ones(())
        found = strong_wolfe(along, first, self.c, float("inf"), self.trials)
        return batch.params(along.reached(found.t)), state

    def product(self, batch: Batch, x: Array, direction: Array) -> Array:
        """Return the matrix at x times a direction."""
        return batch.hessian_product(x, direction)
