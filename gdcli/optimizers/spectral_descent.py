"""Spectral descent: the steepest step in the spectral norm, from a singular value decomposition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import torch

from gdcli import trees
from gdcli.method import About, Ask, Kind, Method, State
from gdcli.optimizers.muon import MATRICES, flattened

if TYPE_CHECKING:
    from gdcli.problem import Array, Params


@dataclass(frozen=True)
class SpectralDescent(Method):
    """param -= lr * sum(s) * U V', where U diag(s) V' is the gradient (Carlson et al. 2015).

    U V' has the spectral norm 1 and the largest product with the gradient of all such matrices, and
    sum(s) is that product: the step is the steepest in this norm, as plain descent's is in the
    Euclidean one. Without `dual` the factor sum(s) is left out. Directions whose singular value is
    below the rounding error of the largest have no part in the step. A convolution is a matrix with
    one row for each output channel.

    The learning rate, 0.001, is torch.optim.SGD's: the paper gives none.
    """

    dual: Annotated[bool, "multiply the step by the sum of the singular values"] = True

    default_lr: ClassVar[float] = 1e-3
    kinds: ClassVar[frozenset[Kind]] = MATRICES

    def init(self, params: Params, about: About) -> State:
        """Keep nothing."""
        return {}

    def direction(
        self, params: Params, state: State, ask: Ask, lr: Array, step: int
    ) -> tuple[Params, State]:
        """Return the steepest direction of each matrix."""
        _, grad = self.gradient(params, ask)
        return {n: self.steepest(flattened(g)).view_as(g) for n, g in grad.items()}, state

    def steepest(self, matrix: Array) -> Array:
        """Return U V' of a matrix, times the sum of its singular values; nan where it is none."""
        u, s, vh = trees.svd(matrix)
        least = max(matrix.shape) * torch.finfo(matrix.dtype).eps * s[0]
        found = trees.product(torch.where(s > least, u, 0.0), vh)
        found = s.sum() * found if self.dual else found
        return torch.where(matrix.isfinite().all(), found, torch.nan)
