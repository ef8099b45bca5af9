"""Sophia with curvature from labels that the model draws, for classifiers by cross-entropy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Gt

from gdcli.optimizers.adam import Beta1
from gdcli.optimizers.sophia import Sophia

if TYPE_CHECKING:
    from gdcli.method import Ask
    from gdcli.problem import Params


@dataclass(frozen=True)
class SophiaG(Sophia):
    """param -= lr * clip(mean / max(gamma * curvature, eps), 1) (Liu et al. 2024, algorithm 3).

    curvature is a running mean of Gauss-Newton-Bartlett estimates (algorithm 2): n times the square
    of the mean gradient of n labels, drawn from the classes' probabilities. Their mean over the
    labels is the diagonal of the Gauss-Newton matrix, which is not negative. Such a step costs a
    second gradient. The penalty's part is exact. Weight decay is decoupled.

    beta1, gamma and the learning rate are those of the authors' code, SophiaG; the paper has 0.96
    and 0.05. That code estimates the curvature after a step; here it is before, as in the paper.
    """

    beta1: Beta1 = 0.965
    gamma: Annotated[
        float, "factor of the curvature; the larger, the fewer coordinates are clipped", Gt(0)
    ] = 0.04

    default_lr: ClassVar[float | None] = 1e-4
    needs_curvature: ClassVar[bool] = False
    needs_labels: ClassVar[bool] = True

    def estimate(self, params: Params, ask: Ask) -> Params:
        """Return the Gauss-Newton-Bartlett estimate."""
        return ask.gauss_newton_diagonal(params)
