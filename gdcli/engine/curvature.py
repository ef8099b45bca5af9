"""The largest and the smallest curvature of a convex problem: what its theory starts from."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gdcli.engine.parts import total
from gdcli.problem import Analytic, LinearModel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gdcli.problem import Data, Problem

MOST_FEATURES = 2000  # of a Hessian whose eigenvalues take seconds


class Curvature(NamedTuple):
    """The ends of the Hessian's eigenvalues, of the loss over all training examples."""

    largest: float  # L
    smallest: float  # mu
    exact: bool  # the Hessian is the same at every point; else bounds of it: L from above, mu below
    every_batch: bool  # and that of any batch of the examples


def curvature_of(problem: Problem, data: Data) -> Curvature | None:
    """Return the curvature of a problem with these data; None where it has no bound that is known.

    Exact for bowls and least squares. A linear model whose cost bends by at most b (1/4 for
    logistic, 1/2 for softmax regression) is bounded by b times the eigenvalues of X'X / n.
    """
    if isinstance(problem, Analytic):
        return _bowl(problem, data)
    if isinstance(problem, LinearModel) and problem.bend is not None:
        return _linear_model(problem, problem.bend, data)
    return None


def _bowl(problem: Analytic, data: Data) -> Curvature | None:
    """Return the curvature of a bowl along its axes."""
    turned = problem.aligned(data)
    simple = turned[1] if turned else data
    found = problem.curvature({**simple.train, **simple.constants})
    if found is None:
        return None
    return Curvature(float(found[0].max()), float(found[0].min()), exact=True, every_batch=True)


def _linear_model(problem: LinearModel, bend: float, data: Data) -> Curvature | None:
    """Return the ends of the eigenvalues of bend X'X / n + l2, X with a column of ones."""
    features = data.train["x"].shape[1] + 1
    if features > MOST_FEATURES:
        return None
    with np.errstate(all="ignore"):  # extreme features overflow: then nothing is known
        gram = total(data.train, lambda x, _: with_ones(x).T @ with_ones(x))
        hessian = bend * gram / data.examples + np.diag(penalty(problem.l2, features))
    if not np.isfinite(hessian).all():
        return None
    try:
        ends = np.linalg.eigvalsh(hessian)[[0, -1]].clip(0)
    except np.linalg.LinAlgError:  # the iteration of LAPACK may not converge
        return None
    # How much a cost bends at least is another matter: nothing, far from where it is least.
    smallest = float(ends[0]) if problem.squared else 0.0
    return Curvature(float(ends[1]), smallest, exact=problem.squared, every_batch=False)


def with_ones(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return features with a column of ones, of which the bias is the weight."""
    return np.concatenate([x, np.ones_like(x[:, :1])], axis=1)


def penalty(l2: float, size: int) -> NDArray[np.float64]:
    """Return what the penalty adds to each curvature: nothing to the bias's, which is last."""
    added = np.full(size, l2)
    added[-1] = 0.0
    return added
