"""NorMuon: Muon whose orthogonal matrix has each row divided by the row's recent size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import torch
from annotated_types import Ge, Gt, Lt

from gdcli import trees
from gdcli.method import About, Ask, Kind, Method, State
from gdcli.optimizers.adam import Beta1
from gdcli.optimizers.muon import MATRICES, Coefficients, Iterations, flattened, orthogonal

if TYPE_CHECKING:
    from gdcli.problem import Array, Params

NEAR_ZERO = 1e-7  # the smallest norm that a matrix is divided by


@dataclass(frozen=True)
class NorMuon(Method):
    """param -= lr * scale * o / (sqrt(square) + eps), o the orthogonal matrix (Li et al. 2025).

    The square of a row is a running mean of the mean square of the row of o, not corrected for its
    start at 0. The scale gives the result the Frobenius norm of o, times sqrt(max(1, rows /
    columns)) (`preserve`, as in the authors' code), or a root mean square of 0.2 (`rms`, algorithm
    1 of the paper).

    This is pytorch_optimizer's rule with its learning rate, 0.02, and its options, but with the
    orthogonal matrix in the parameter's own precision instead of bfloat16, as in `muon`.
    """

    beta1: Beta1 = 0.95
    beta2: Annotated[
        float, "share of the running mean of a row's square that is kept in each step", Ge(0), Lt(1)
    ] = 0.95
    nesterov: Annotated[bool, "mix the mean with the gradient once more"] = True
    coefficients: Coefficients = (3.4445, -4.7750, 2.0315)
    iterations: Iterations = 5
    scale: Annotated[
        Literal["preserve", "rms"],
        "norm of the step: preserve, the orthogonal matrix's times sqrt(max(1, rows / columns)); "
        "rms, a root mean square of 0.2",
    ] = "preserve"
    eps: Annotated[float, "added to the divisors, so that they are never 0", Gt(0)] = 1e-10

    default_lr: ClassVar[float] = 0.02
    decoupled: ClassVar[bool] = True
    kinds: ClassVar[frozenset[Kind]] = MATRICES

    def init(self, params: Params, about: About) -> State:
        """Start with both averages at 0."""
        square = {name: param.new_zeros((len(param), 1)) for name, param in params.items()}
        return {"mean": trees.zeros(params), "square": square}

    def direction(
        self, params: Params, state: State, ask: Ask, lr: Array, step: int
    ) -> tuple[Params, State]:
        """Return the scaled orthogonal matrices with their rows divided."""
        _, grad = self.gradient(params, ask)
        mean = trees.mixed(state["mean"], grad, self.beta1)
        aim = trees.mixed(mean, grad, self.beta1) if self.nesterov else mean
        found, square = {}, {}
        for name, m in aim.items():
            o = orthogonal(flattened(m), self.coefficients, self.iterations, NEAR_ZERO)
            new = (o * o).mean(1, keepdim=True)
            square[name] = self.beta2 * state["square"][name] + (1 - self.beta2) * new
            way = o / (square[name].sqrt() + self.eps)
            rows, columns = o.shape
            length = 0.2 * (rows * columns) ** 0.5
            if self.scale == "preserve":
                length = max(1, rows / columns) ** 0.5 * torch.linalg.vector_norm(o)
            found[name] = (length / (torch.linalg.vector_norm(way) + self.eps) * way).view_as(m)
        return found, {"mean": mean, "square": square}
