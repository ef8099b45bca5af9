"""Scion: steps of a fixed norm, which is chosen for each kind of parameter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge, Gt, Le

from gdcli import trees
from gdcli.method import About, Ask, Kind, Method, State
from gdcli.optimizers.muon import flattened, orthogonal

if TYPE_CHECKING:
    from gdcli.problem import Array, Params

COEFFICIENTS, ITERATIONS, NEAR_ZERO = (3.4445, -4.7750, 2.0315), 5, 1e-7


@dataclass(frozen=True)
class Scion(Method):
    """param -= lr * radius * steepest(mean), the steepest direction (Pethick et al. 2025).

    It is the steepest in a unit ball, which depends on the kind: matrices have the spectral norm,
    so that it is orthogonal times sqrt(rows / columns); convolutions too, with channels for
    columns, over the kernel's size; each row of an embedding has a root mean square of 1, and each
    bias, normalization parameter or vector as a whole (the paper's table of norms). `constrained`
    is algorithm 2: the parameters shrink by lr in each step too, and stay in the ball of `radius`
    where they start in it. The starting point is the problem's own.

    This is pytorch_optimizer's rule, with its learning rate, 0.001, but with orthogonal matrices in
    the parameter's own precision instead of bfloat16, as in `muon`. pytorch_optimizer takes
    embeddings as matrices by default.
    """

    fresh: Annotated[
        float, "share of the new gradient in the mean; 1: there is no momentum", Gt(0), Le(1)
    ] = 0.1
    radius: Annotated[float, "norm of a step of rate 1, and of the ball", Gt(0)] = 1.0
    constrained: Annotated[bool, "shrink the parameters by the learning rate in each step"] = False
    eps: Annotated[float, "added to the divisor, so that it is never 0", Ge(0)] = 1e-8

    default_lr: ClassVar[float] = 1e-3
    decoupled: ClassVar[bool] = True

    def init(self, params: Params, about: About) -> State:
        """Start with the average at 0."""
        return {"mean": trees.zeros(params)}

    def direction(
        self, params: Params, state: State, ask: Ask, lr: Array, step: int
    ) -> tuple[Params, State]:
        """Return the steepest way in each parameter's ball."""
        _, grad = self.gradient(params, ask)
        mean = trees.mixed(grad, state["mean"], self.fresh)
        found = {n: self.radius * self.steepest(m, ask.kind[n]) for n, m in mean.items()}
        return (trees.add(found, params) if self.constrained else found), {"mean": mean}

    def steepest(self, mean: Array, kind: Kind) -> Array:
        """Return the way in the unit ball that has the largest product with a mean."""
        if kind == "embedding":
            return mean / ((mean * mean).mean(1, keepdim=True).sqrt() + self.eps)
        if mean.ndim < 2:
            return mean / ((mean * mean).mean().sqrt() + self.eps)
        matrix = flattened(mean)
        kernel = matrix.shape[1] // mean.shape[1]
        scale = (mean.shape[0] / mean.shape[1]) ** 0.5 / kernel
        way = orthogonal(matrix, COEFFICIENTS, ITERATIONS, NEAR_ZERO)
        return (scale * way).view_as(mean)
