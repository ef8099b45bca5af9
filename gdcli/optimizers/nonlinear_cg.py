"""Nonlinear conjugate gradients, with a line search in each batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import torch
from annotated_types import Gt, Lt

from gdcli import trees
from gdcli.method import Method, State
from gdcli.optimizers._line_search import Batch, Decrease, Points, line, strong_wolfe, unbegun

if TYPE_CHECKING:
    from gdcli.method import About, Ask
    from gdcli.problem import Array, Params


@dataclass(frozen=True)
class NonlinearCg(Method):
    """direction = -grad + beta * direction, searched for a step in each batch.

    beta is that of Fletcher and Reeves 1964, of Polak and Ribiere 1969 where it is positive (as in
    scipy.optimize.fmin_cg), of Hestenes and Stiefel 1952, or of Hager and Zhang 2005 with their
    bound from below; all of them are in the survey of Hager and Zhang 2006. Where the direction
    leads uphill, and where beta is not finite, the direction is -grad. The first trial step of a
    search is `lr` times the one along which the slope foretells the decrease of the last step, as
    in Nocedal and Wright 2006, section 3.5; the first of all is `lr` * min(1, 1 / |grad|_1).
    The default of `lr` leaves that as it is.
    """

    beta: Annotated[
        Literal["polak-ribiere", "fletcher-reeves", "hestenes-stiefel", "hager-zhang"],
        "share of the last direction that is kept",
    ] = "polak-ribiere"
    c1: Decrease = 1e-4
    c2: Annotated[
        float, "largest share of the slope that is left at the end of a step", Gt(0), Lt(1)
    ] = 0.4
    trials: Points = 25

    default_lr: ClassVar[float] = 1.0
    asks_elsewhere: ClassVar[bool] = True

    def init(self, params: Params, about: About) -> State:
        """Start with no last direction."""
        some = next(iter(params.values()))
        vector = some.new_zeros(sum(param.numel() for param in params.values()))
        held = {"direction": vector, "grad": vector, "ahead": trees.number(params)}
        return {**held, **unbegun(vector, about)}

    def step(
        self, params: Params, state: State, ask: Ask, lr: Array, step: int
    ) -> tuple[Params, State]:
        """Return the point that the line search finds along the conjugate direction."""
        batch = Batch(self, ask, params)
        x = batch.vector(params)
        loss, grad = batch.begun(x, state, step)
        square = (grad * grad).sum()
        share = self.share(grad, square, state)
        conjugate = torch.where(share.isfinite(), share, 0.0) * state["direction"] - grad
        downhill = (grad * conjugate).sum() < 0
        along = line(batch, x, loss, grad, torch.where(downhill, conjugate, -grad))
        guess = torch.where(
            state["ahead"] < 0,
            state["ahead"] / along.slope,
            (1 / grad.abs().sum()).clamp(max=1.0),
        )
        found = strong_wolfe(along, lr * guess, self.c1, self.c2, self.trials)
        after = {
            "direction": along.direction,
            "grad": grad,
            "ahead": torch.where(found.t > 0, found.t * along.slope, state["ahead"]),
            **batch.ended(found),
        }
        return batch.params(along.reached(found.t)), after

    def share(self, grad: Array, square: Array, state: State) -> Array:
        """Return beta; it is not finite where there is no last direction."""
        before, direction = state["grad"], state["direction"]
        if self.beta == "fletcher-reeves":
            return square / (before * before).sum()
        change = grad - before
        if self.beta == "polak-ribiere":
            return ((change * grad).sum() / (before * before).sum()).clamp(min=0.0)
        curvature = (direction * change).sum()
        if self.beta == "hestenes-stiefel":
            return (change * grad).sum() / curvature
        growth = 2 * (change * change).sum() / curvature
        share = ((change - growth * direction) * grad).sum() / curvature
        least = (before * before).sum().sqrt().clamp(max=0.01)
        return torch.maximum(share, -1 / ((direction * direction).sum().sqrt() * least))
