"""L-BFGS: a quasi-Newton direction from the last steps, with a line search in each batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import torch
from annotated_types import Ge, Gt, Lt

from gdcli.mapped import together
from gdcli.method import Method, State
from gdcli.optimizers._line_search import (
    Batch,
    Decrease,
    Points,
    SearchLine,
    strong_wolfe,
    unbegun,
)

if TYPE_CHECKING:
    from gdcli.method import About, Ask
    from gdcli.problem import Array, Params

NAMES = ("steps", "changes", "products", "scale")  # of the state


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
    c1: Decrease = 1e-4
    c2: Annotated[
        float, "largest share of the slope that wolfe leaves at the end of a step", Gt(0), Lt(1)
    ] = 0.9
    trials: Points = 25

    default_lr: ClassVar[float] = 1.0
    asks_elsewhere: ClassVar[bool] = True
    stacks: ClassVar[bool] = True

    def init(self, params: Params, about: About) -> State:
        """Start with no pair: rows of zeros, the last pair in the last row."""
        some = next(iter(params.values()))
        pairs = some.new_zeros((self.history, sum(param.numel() for param in params.values())))
        return {
            "steps": pairs,
            "changes": pairs,  # of the gradient, in a step
            "products": some.new_zeros((self.history, self.history)),  # on and above the diagonal
            "scale": some.new_ones(()),  # of the inverse Hessian that the pairs change
            **unbegun(pairs[0], about),
        }

    def step(
        self, params: Params, state: State, ask: Ask, lr: Array, step: int
    ) -> tuple[Params, State]:
        """Return the point that the line search finds, and the pairs with that of this step."""
        batch = Batch(self, ask, params, lr.ndim)
        x = batch.vector(params)
        loss, grad = batch.begun(x, state, step)
        held = {name: state[name] for name in NAMES}
        direction, slope, first = together(quasi_newton, grad, lr, held)
        along = SearchLine(batch, x, loss, grad, direction, slope)
        c2 = self.c2 if self.search == "wolfe" else float("inf")
        found = strong_wolfe(along, first, self.c1, c2, self.trials)
        pair = found.t, direction, found.grad - grad, slope, found.slope
        kept = together(with_pair, pair, held) | batch.ended(found)
        return batch.params(along.reached(found.t)), kept


def quasi_newton(grad: Array, lr: Array, held: State) -> tuple[Array, Array, Array]:
    """Return the direction -H * grad, the slope along it, and the first step; any leading axes.

    The two loops of Nocedal 1980 are written as two triangular systems in the products of steps
    and changes: the same sums in a few operations. None of them is a matrix product, whose bits
    depend on how many trials are stacked.
    """
    steps, changes, products, scale = (held[name] for name in NAMES)
    curvature = products.diagonal(dim1=-2, dim2=-1)
    triangle = products + torch.diag_embed((curvature <= 0).to(grad.dtype))
    along = (steps * grad[..., None, :]).sum(-1, keepdim=True)
    ahead = torch.linalg.solve_triangular(triangle, along, upper=True)
    rest = grad - (ahead * changes).sum(-2)
    across = (changes * rest[..., None, :]).sum(-1, keepdim=True)
    back = curvature[..., None] * ahead - scale[..., None, None] * across
    back = torch.linalg.solve_triangular(triangle.mT, back, upper=False)
    direction = -(scale[..., None] * rest + (back * steps).sum(-2))
    known = curvature[..., -1] > 0
    first = torch.where(known, 1.0, (1 / grad.abs().sum(-1)).clamp(max=1.0))
    return direction, (grad * direction).sum(-1), lr * first


def with_pair(pair: tuple[Array, Array, Array, Array, Array], held: State) -> State:
    """Return the state with one more pair and without its first; any leading axes.

    `pair` is the step taken, its direction, the change of the gradient, and the slopes along the
    direction before and after. The state stays as it is where its curvature is below rounding.
    """
    t, direction, change, slope0, slope = pair
    steps, changes, products, scale = (held[name] for name in NAMES)
    curved = t * (slope - slope0) > torch.finfo(t.dtype).eps * -(t * slope0)
    longer = torch.cat([steps[..., 1:, :], (t[..., None] * direction)[..., None, :]], dim=-2)
    column = (longer * change[..., None, :]).sum(-1)
    kept = torch.nn.functional.pad(products[..., 1:, 1:], (0, 0, 0, 1))
    rows = curved[..., None, None]
    latest = torch.cat([changes[..., 1:, :], change[..., None, :]], dim=-2)
    both = torch.cat([kept, column[..., None]], dim=-1)
    return {
        "steps": torch.where(rows, longer, steps),
        "changes": torch.where(rows, latest, changes),
        "products": torch.where(rows, both, products),
        "scale": torch.where(curved, column[..., -1] / (change * change).sum(-1), scale),
    }
