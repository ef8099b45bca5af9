"""Sophia: momentum divided by the curvature of each coordinate, with the quotient clipped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge, Gt, Lt

from gdcli import trees
from gdcli.method import Method
from gdcli.optimizers.adahessian import Every, diagonal
from gdcli.optimizers.adam import Beta1

if TYPE_CHECKING:
    from gdcli.method import About, Ask, State
    from gdcli.problem import Array, Params


@dataclass(frozen=True)
class Sophia(Method):
    """param -= lr * clip(mean / max(gamma * curvature, eps), 1) (Liu et al. 2024, algorithm 3).

    Sophia-H: curvature is a running mean of Hutchinson's estimates of the Hessian's diagonal, by
    random signs, which make less noise than the paper's normal numbers. Such a step costs a Hessian
    product besides the gradient. Weight decay is decoupled. pytorch_optimizer has the same rule in
    other units: its p is gamma, its learning rate lr / gamma, and its default the one here. optax
    corrects the bias of the mean, and uses a new curvature from the next step on; the paper does
    neither.
    """

    beta1: Beta1 = 0.96
    beta2: Annotated[
        float, "share of the mean curvature that is kept in each estimate", Ge(0), Lt(1)
    ] = 0.99
    gamma: Annotated[
        float, "factor of the curvature; the larger, the fewer coordinates are clipped", Gt(0)
    ] = 0.01
    eps: Annotated[float, "least divisor", Gt(0)] = 1e-12
    every: Every = 10

    decoupled: ClassVar[bool] = True
    default_lr: ClassVar[float | None] = 6e-4
    needs_curvature: ClassVar[bool] = True

    def init(self, params: Params, about: About) -> State:
        """Start with means of 0."""
        zeros = trees.zeros(params)
        return {"mean": zeros, "curvature": zeros}

    def direction(
        self, params: Params, state: State, ask: Ask, lr: Array, step: int
    ) -> tuple[Params, State]:
        """Return the mean gradient divided by the curvature, at most 1 in each coordinate."""
        _, grad = self.gradient(params, ask)
        mean, curvature = trees.mixed(state["mean"], grad, self.beta1), state["curvature"]
        if (step - 1) % self.every == 0:
            curvature = trees.mixed(curvature, self.estimate(params, ask), self.beta2)
        direction = {
            name: (m / (self.gamma * curvature[name]).clamp(min=self.eps)).clamp(-1.0, 1.0)
            for name, m in mean.items()
        }
        return direction, {"mean": mean, "curvature": curvature}

    def estimate(self, params: Params, ask: Ask) -> Params:
        """Return an estimate of the curvature of each coordinate."""
        return diagonal(params, ask)
