"""L-BFGS: a quasi-Newton direction from the last steps, with a line search in each batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import torch
from annotated_types import Ge, Gt, Lt

from gdcli.method import Method, State
from gdcli.optimizers._line_search import Batch, line, strong_wolfe

if TYPE_CHECKING:
    from gdcli.method import About, Ask
    from gdcli.problem import Array, Params


@dataclass(frozen=True)
class Lbfgs(Method):
    """param -= t * H * grad, H an inverse Hessian from the last pairs of steps and slopes.

    Liu and Nocedal 1989, algorithm 2.1, with one iteration a step. The first trial step of a search
    is `lr`, and min(1, 1 / |grad|_1) of it while there is no pair, as in torch.optim.LBFGS. Unlike
    there, a pair takes both of its gradients from one batch (Schraudolph, Yu and Guenter 2007),
    which is the same where all batches are; and a pair is left out where its curvature is below
    rounding, as in scipy's L-BFGS-B, not below 1e-10, a number that depends on the scale of the
    loss. The default of `lr` is torch.optim.LBFGS's.
    """

    history: Annotated[int, "pairs of steps and changes of the gradient that are kept", Ge(1)] = 10
    search: Annotated[
        Literal["wolfe", "armijo"], "wolfe: a step must flatten the slope; armijo: it need not"
    ] = "wolfe"
    c1: Annotated[
        float, "share of the decrease that the slope foretells that a step must reach", Gt(0), Lt(1)
    ] = 1e-4
    c2: Annotated[
        float, "largest share of the slope that wolfe leaves at the end of a step", Gt(0), Lt(1)
    ] = 0.9
    trials: Annotated[int, "largest number of points tried in one search", Ge(1)] = 25

    default_lr: ClassVar[float] = 1.0

    def init(self, params: Params, about: About) -> State:
        """Start with no pair: rows of zeros, the last pair in the last row."""
        some = next(iter(params.values()))
        pairs = some.new_zeros((self.history, sum(param.numel() for param in params.values())))
        return {
            "steps": pairs,
            "changes": pairs,  # of the gradient, in a step
            "products": some.new_zeros((self.history, self.history)),  # on and above the diagonal
            "scale": some.new_ones(()),  # of the inverse Hessian that the pairs change
        }

    def step(
        self, params: Params, state: State, ask: Ask, lr: Array, step: int
    ) -> tuple[Params, State]:
        """Return the point that the line search finds, and the pairs with that of this step."""
        batch = Batch(self, ask, params)
        x = batch.vector(params)
        loss, grad = batch.slopes(x)
        direction, known = quasi_newton(grad, state)
        along = line(batch, x, loss, grad, direction)
        first = lr * torch.where(known, 1.0, (1 / grad.abs().sum()).clamp(max=1.0))
        c2 = self.c2 if self.search == "wolfe" else float("inf")
        found = strong_wolfe(along, first, self.c1, c2, self.trials)
        foretold = -(found.t * along.slope)
        curvature = found.t * (found.slope - along.slope)
        curved = curvature > torch.finfo(x.dtype).eps * foretold
        longer = with_pair(state, found.t * direction, found.grad - grad)
        after = {name: torch.where(curved, longer[name], state[name]) for name in state}
        return batch.params(along.reached(found.t)), after


def with_pair(state: State, step: Array, change: Array) -> State:
    """Return the state with one more pair, and without its first."""
    steps = torch.cat([state["steps"][1:], step[None]])
    column = (steps * change).sum(1)
    kept = torch.nn.functional.pad(state["products"][1:, 1:], (0, 0, 0, 1))
    return {
        "steps": steps,
        "changes": torch.cat([state["changes"][1:], change[None]]),
        "products": torch.cat([kept, column[:, None]], dim=1),
        "scale": column[-1] / (change * change).sum(),
    }


def quasi_newton(grad: Array, state: State) -> tuple[Array, Array]:
    """Return the direction -H * grad, and whether there is a pair at all.

    The two loops of Nocedal 1980 are written as two triangular systems in the products of steps
    and changes: the same sums in a few operations. None of them is a matrix product, whose bits
    depend on how many trials are stacked.
    """
    steps, changes, scale = state["steps"], state["changes"], state["scale"]
    curvature = state["products"].diagonal()
    empty = (curvature <= 0).to(grad.dtype)
    triangle = state["products"] + torch.diag(empty)
    along = (steps * grad).sum(1, keepdim=True)
    ahead = torch.linalg.solve_triangular(triangle, along, upper=True)
    rest = grad - (ahead * changes).sum(0)
    back = curvature[:, None] * ahead - scale * (changes * rest).sum(1, keepdim=True)
    back = torch.linalg.solve_triangular(triangle.mT, back, upper=False)
    return -(scale * rest + (back * steps).sum(0)), curvature[-1] > 0
