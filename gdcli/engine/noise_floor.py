"""How much the gradients of single examples differ at the minimiser: where SGD's floor is from."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gdcli.engine.curvature import with_ones
from gdcli.engine.least_loss import least_squares
from gdcli.engine.parts import total
from gdcli.problem import Analytic, LinearModel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gdcli.problem import Data, Problem

MOST_CURVATURES = 10_000  # that a manifest holds


class Noise(NamedTuple):
    """The variance of one example's gradient along axes of these curvatures."""

    curvatures: tuple[float, ...]
    variances: tuple[float, ...]
    exact: bool  # the same at every point; else at the minimiser, all of it along one flat axis:
    # the leading order in the learning rate


def noise_of(problem: Problem, data: Data) -> Noise | None:
    """Return the noise of a bowl with examples and of least squares; None of others."""
    found = None
    with np.errstate(all="ignore"):  # of extreme data nothing is known
        if isinstance(problem, Analytic) and data.train:
            found = _bowl(problem, data)
        elif isinstance(problem, LinearModel) and problem.squared:
            found = _least_squares(problem, data)
    return found if found and np.isfinite(found.variances).all() else None


def _bowl(problem: Analytic, data: Data) -> Noise | None:
    """Return the noise of examples of which each is a bowl of the same curvature."""
    turned = problem.aligned(data)
    simple = turned[1] if turned else data
    batch = {**simple.train, **simple.constants}
    found = problem.curvature(batch)
    if found is None or len(found[0]) > MOST_CURVATURES:
        return None
    eigenvalues, minimiser = found
    at_each = {name: array[:, None] for name, array in simple.train.items()}
    point = np.broadcast_to(minimiser, eigenvalues.shape)
    gradients = problem.gradient(point, {**at_each, **simple.constants})[..., 0]
    return Noise(tuple(eigenvalues[:, 0].tolist()), tuple(gradients.var(0).tolist()), exact=True)


def _least_squares(problem: LinearModel, data: Data) -> Noise | None:
    solution = least_squares(problem, data)
    if solution is None:
        return None

    def squares(features: NDArray[np.float64], y: NDArray[np.float64]) -> float:
        x = with_ones(features)
        # The gradient of an example is the outer product of its features and its residuals.
        return float(((x**2).sum(1) * ((x @ solution - y) ** 2).sum(1)).sum())

    mean = total(data.train, lambda x, y: with_ones(x).T @ (with_ones(x) @ solution - y))
    mean = mean / data.examples
    variance = total(data.train, squares) / data.examples - (mean**2).sum()
    return Noise((0.0,), (float(variance),), exact=False)
