"""Gradient descent whose step is found by Armijo's back-tracking line search in each batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import torch
from annotated_types import Ge, Gt, Lt

from gdcli import trees
from gdcli.method import Method, State
from gdcli.optimizers._line_search import Batch, Decrease, back_tracking, line

if TYPE_CHECKING:
    from gdcli.method import About, Ask
    from gdcli.problem import Array, Params


@dataclass(frozen=True)
class Armijo(Method):
    """param -= t * grad, t the first step that decreases the batch's loss by c * t * |grad|**2.

    Stochastic line search (Vaswani, Mishra, Laradji, Schmidt, Gidel and Lacoste-Julien 2019,
    algorithm 1). `lr` is the largest step tried and the first of all; each search starts at
    `growth` times the last step. The authors grow it by 2**(batch / examples); 1.5 is what
    optax.scale_by_backtracking_linesearch takes, and so is the limit at the largest step. Where no
    step is found, the parameters stay, while the authors take a step of 1e-6.
    The default of `lr` is the authors' first step.
    """

    c: Decrease = 0.1
    beta: Annotated[float, "factor of the step after each trial that fails", Gt(0), Lt(1)] = 0.9
    growth: Annotated[float, "factor of the last step with which a search starts", Ge(1)] = 1.5
    reset: Annotated[bool, "start every search at the learning rate"] = False
    trials: Annotated[int, "largest number of steps tried in one search", Ge(1)] = 100

    default_lr: ClassVar[float] = 1.0
    asks_elsewhere: ClassVar[bool] = True

    def init(self, params: Params, about: About) -> State:
        """Start with no step taken: the first search starts at the learning rate."""
        return {"step": trees.number(params, float("inf"))}

    def step(
        self, params: Params, state: State, ask: Ask, lr: Array, step: int
    ) -> tuple[Params, State]:
        """Return the point of the first step that decreases the loss enough."""
        batch = Batch(self, ask, params)
        x = batch.vector(params)
        loss, grad = batch.slopes(x)
        along = line(batch, x, loss, grad, -grad)
        first = lr if self.reset else torch.minimum(self.growth * state["step"], lr)
        first = first + torch.zeros_like(loss)
        t, found = back_tracking(along, first, self.c, self.beta, self.trials)
        # A trial that had nothing to search keeps the step of its last search.
        kept = torch.where(along.hopeless(first), state["step"], t)
        return batch.params(along.reached(torch.where(found, t, 0.0))), {"step": kept}
