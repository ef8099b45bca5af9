"""Levenberg-Marquardt: Gauss-Newton steps whose damping follows how well they come out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import torch
from annotated_types import Ge, Gt

from gdcli import trees
from gdcli.method import Method, State
from gdcli.optimizers._line_search import Batch, line
from gdcli.optimizers._truncated import Forcing, conjugate_gradients

if TYPE_CHECKING:
    from gdcli.method import About, Ask
    from gdcli.problem import Array, Params


@dataclass(frozen=True)
class LevenbergMarquardt(Method):
    """param += lr * z, z about the solution of (G + damping * I) * z = -grad.

    G is the batch's Gauss-Newton matrix, and z is found by products with it. The gain is the
    decrease of the loss divided by that of the quadratic model. Where it is positive, the step is
    taken and the damping multiplied by max(1/3, 1 - (2 * gain - 1)**3); else the parameters stay,
    and the damping grows by factors of 2, 4, 8 and so on (Nielsen 1999; Madsen, Nielsen and
    Tingleff 2004, algorithm 3.16, with the mean loss of the batch in place of a sum of squares).
    MINPACK damps otherwise: its minimum is the same, and the test of the steps is this formula in
    NumPy, with dense matrices. The default of `lr` is the whole step.
    """

    damping: Annotated[float, "added to the diagonal of the matrix in the first step", Gt(0)] = 1e-3
    products: Annotated[int, "largest number of matrix products in one step", Ge(1)] = 100
    forcing: Forcing = 0.5

    default_lr: ClassVar[float] = 1.0
    asks_elsewhere: ClassVar[bool] = True
    needs_outputs: ClassVar[bool] = True

    def init(self, params: Params, about: About) -> State:
        """Start with the damping given, which first grows by a factor of 2."""
        damping = self.damping * trees.number(params, 1.0)
        return {"damping": damping, "growth": trees.number(params, 2.0)}

    def step(
        self, params: Params, state: State, ask: Ask, lr: Array, step: int
    ) -> tuple[Params, State]:
        """Return the point that the damped model foretells, where the loss decreases there."""
        batch, damping = Batch(self, ask, params), state["damping"]
        x = batch.vector(params)
        loss, grad = batch.slopes(x)

        def product(vector: Array) -> Array:
            return batch.gauss_newton_product(x, vector) + damping * vector

        z, residual = conjugate_gradients(product, grad, ask, self.forcing, self.products)
        along = line(batch, x, loss, grad, z)
        # Of z' G z, as (G + damping * I) z is the residual less the gradient.
        bent = (z * residual).sum() - along.slope - damping * (z * z).sum()
        foretold = -lr * (along.slope + 0.5 * lr * bent)
        hopeless = along.hopeless(lr)
        if ask.everyone(hopeless):
            return params, state
        gain = (loss - batch.loss(along.at(lr))) / foretold
        better = ~hopeless & (foretold > 0) & (gain > 0)
        narrowed = damping * (1 - (2 * gain - 1) ** 3).clamp(min=1 / 3)
        changed = torch.where(better, narrowed, damping * state["growth"])
        # Where even a tiny step fails, no larger damping helps.
        eps = torch.finfo(loss.dtype).eps
        bounded = changed.clamp(min=eps * eps, max=1 / eps)
        growth = torch.where(better, 2.0, (2 * state["growth"]).clamp(max=1 / eps))
        after = {
            "damping": torch.where(hopeless, damping, bounded),
            "growth": torch.where(hopeless, state["growth"], growth),
        }
        return batch.params(along.reached(torch.where(better, lr, 0.0))), after
