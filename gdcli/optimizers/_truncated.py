"""Linear conjugate gradients for the direction of a Newton step, stopped early."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import torch
from annotated_types import Gt, Lt

if TYPE_CHECKING:
    from collections.abc import Callable

    from gdcli.method import Ask
    from gdcli.problem import Array


Forcing: TypeAlias = Annotated[
    float, "largest size of the residual, relative to that of the gradient", Gt(0), Lt(1)
]


def conjugate_gradients(
    product: Callable[[Array], Array], grad: Array, ask: Ask, forcing: Any, most: int
) -> tuple[Array, Array]:
    """Return z, about the solution of A z = -grad, and the residual grad + A z.

    `product` returns A times a vector; it is asked for at most `most` times, and until the 1-norm
    of the residual is at most min(forcing, sqrt(|grad|_1)) * |grad|_1 (Dembo and Steihaug 1983;
    the numbers are those of scipy's Newton-CG). Where the curvature of a search direction is not
    positive, z is the point reached before, and at the first one the step of steepest descent that
    the curvature's size gives, or -grad where there is none. Code for one trial.
    """
    size = grad.abs().sum()
    goal = torch.minimum(forcing * torch.ones_like(size), size.sqrt()) * size
    z, residual, search = torch.zeros_like(grad), grad, -grad
    square = (grad * grad).sum()
    done = ~(size > goal)
    for tried in range(most):
        if ask.everyone(done):
            break
        curved = product(search)
        curvature = (search * curved).sum()
        bound = torch.finfo(grad.dtype).eps * (search * search).sum()
        positive = curvature > bound
        if tried == 0:
            bent = torch.where(curvature < -bound, square / -curvature, 1.0)
            z = torch.where(done | positive, z, bent * search)
        done = done | ~positive
        length = square / curvature
        z = torch.where(done, z, z + length * search)
        residual = torch.where(done, residual, residual + length * curved)
        after = (residual * residual).sum()
        search, square = (after / square) * search - residual, after
        done = done | ~(residual.abs().sum() > goal)
    return z, residual
