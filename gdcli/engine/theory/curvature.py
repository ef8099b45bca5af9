"""The largest and the smallest curvature of a convex problem: what its theory starts from.

The least training loss there is: of bowls, of least squares and of convex linear models.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gdcli.datasets.out_of_core import streamed, total
from gdcli.engine.class_weights import class_weights, classes_in, weighted
from gdcli.engine.examples import load
from gdcli.engine.theory.newton import minimize
from gdcli.problem import Analytic, LinearModel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gdcli.experiment.grid import Trial
    from gdcli.problem import Data, Problem

MOST_FEATURES = 2000  # of a Hessian whose eigenvalues take seconds
DEGENERATE = 1e-13  # mu over L: so small, it is rounding, and no rate can be told from it
ZERO, DOUBTFUL = 1e-15, 1e-7  # singular values over the largest: rounding, and too close to it
MOST_DECOMPOSED = 1e9  # examples times squared features whose singular values are found


class Curvature(NamedTuple):
    """The ends of the Hessian's eigenvalues, of the loss over all training examples."""

    largest: float  # L
    smallest: float  # mu
    exact: bool  # the Hessian is the same at every point; else bounds of it: L from above, mu below
    every_batch: bool  # and that of any batch of the examples
    smallest_positive: float | None = None  # of an exact Hessian, where its rank is certain: along
    # axes of curvature 0 neither the loss nor descent changes anything

    @property
    def slowest(self) -> float | None:
        """The curvature that decides how fast descent is in the long run; None: not known."""
        if not self.exact or self.smallest_positive is not None:
            return self.smallest_positive
        # A manifest of an earlier version has the smallest alone.
        return self.smallest if self.smallest > DEGENERATE * self.largest else None


def curvature_of(problem: Problem, data: Data) -> Curvature | None:
    """Return the curvature of a problem with these data; None where it has no bound that is known.

    Exact for bowls and least squares. A linear model whose cost bends by at most b (1/4 for
    logistic, 1/2 for softmax regression) is bounded by b times the eigenvalues of X'X / n; each
    example counts there as it does in the loss.
    """
    if isinstance(problem, Analytic):
        return _curvature_of(problem, data)
    if isinstance(problem, LinearModel) and problem.bend is not None:
        return _linear_model(problem, problem.bend, data)
    return None


def _curvature_of(problem: Analytic, data: Data) -> Curvature | None:
    """Return the curvature of a bowl along its axes."""
    turned = problem.aligned(data)
    simple = turned[1] if turned else data
    found = problem.curvature({**simple.train, **simple.constants})
    if found is None:
        return None
    largest, smallest = float(found[0].max()), float(found[0].min())
    positive = found[0][found[0] > DEGENERATE * largest]
    least = float(positive.min()) if positive.size else None
    return Curvature(largest, smallest, exact=True, every_batch=True, smallest_positive=least)


def _linear_model(problem: LinearModel, bend: float, data: Data) -> Curvature | None:
    """Return the ends of the eigenvalues of bend X'X / n + l2, X with a column of ones."""
    features = data.train["x"].shape[1] + 1
    if features > MOST_FEATURES:
        return None
    with np.errstate(all="ignore"):  # extreme features overflow: then nothing is known
        each = class_weights(problem, data)

        def squares(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
            rows = with_ones(x)
            if each is None:
                return rows.T @ rows
            return (rows.T * each[classes_in({"y": y})]) @ rows

        gram = total(data.train, squares)
        hessian = bend * gram / data.examples + np.diag(penalty(problem.l2, features))
    if not np.isfinite(hessian).all():
        return None
    try:
        ends = np.linalg.eigvalsh(hessian)[[0, -1]].clip(0)
    except np.linalg.LinAlgError:  # the iteration of LAPACK may not converge
        return None
    if not problem.squared:
        # How much a cost bends at least is another matter: nothing, far from where it is least.
        return Curvature(float(ends[1]), 0.0, exact=False, every_batch=False)
    smallest, largest = map(float, ends)
    positive = smallest if smallest > DEGENERATE * largest else _smallest_positive(problem, data)
    return Curvature(largest, smallest, exact=True, every_batch=False, smallest_positive=positive)


def _smallest_positive(problem: LinearModel, data: Data) -> float | None:
    """Return the smallest curvature above 0 of least squares with collinear features.

    From the singular values of X, whose squares are too inexact in X'X to tell a small one from 0.
    None where they leave the rank in doubt, or take too long.
    """
    rows, width = data.examples, data.train["x"].shape[1] + 1
    if problem.l2 or streamed(data) or rows * width**2 > MOST_DECOMPOSED:
        return None
    try:
        values = np.linalg.svd(with_ones(data.train["x"]), compute_uv=False)
    except np.linalg.LinAlgError:
        return None
    zero = values <= ZERO * max(rows, width) * values[0]
    kept = values[~zero]
    # A value that is as good as 0 beside the largest, and is not 0, cannot be told from rounding.
    if kept[-1] <= DOUBTFUL * values[0]:
        return None
    return float(kept[-1] ** 2 / rows)


def with_ones(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return features with a column of ones, of which the bias is the weight."""
    return np.concatenate([x, np.ones_like(x[:, :1])], axis=1)


def penalty(l2: float, size: int) -> NDArray[np.float64]:
    """Return what the penalty adds to each curvature: nothing to the bias's, which is last."""
    added = np.full(size, l2)
    added[-1] = 0.0
    return added


MOST_STREAMED = 2**19  # numbers of examples on disk that are read at once


class Least(NamedTuple):
    """The greatest lower bound of the training loss."""

    loss: float
    attained: bool  # at some parameters; else it is approached without end, and never reached


def greatest_bound_of(trial: Trial) -> Least | None:
    """Return the least training loss of a trial's problem, or what it tends to; None: not known.

    Where there is no closed form, Newton's method finds it, of convex linear models.
    """
    if (known := least_loss_of(trial)) is not None:
        return Least(known, attained=True)
    return _found(trial.problem, trial.training.data_seed)


@lru_cache(maxsize=8)
def _found(problem: Problem, data_seed: int) -> Least | None:
    if not isinstance(problem, LinearModel) or not problem.convex:
        return None
    data = load(problem, data_seed)
    x, y = data.train["x"], data.train["y"]
    if streamed(data) and x.size > MOST_STREAMED:
        return None
    found = minimize(weighted(problem, data), np.asarray(x), y)
    return Least(found.loss, found.attained) if found else None


def least_loss_of(trial: Trial) -> float | None:
    """Return the least training loss of a trial's problem; None where it has no closed form."""
    if trial.problem.minimum is not None:
        return trial.problem.minimum
    return _known(trial.problem, trial.training.data_seed)


@lru_cache(maxsize=8)
def _known(problem: Problem, data_seed: int) -> float | None:
    return least_loss(problem, load(problem, data_seed))


def least_loss(problem: Problem, data: Data) -> float | None:
    """Return the least loss with these data, of bowls and least squares; None of others."""
    found = None
    with np.errstate(all="ignore"):  # of extreme data nothing is known
        if isinstance(problem, Analytic):
            found = _least_of(problem, data)
        elif isinstance(problem, LinearModel) and problem.squared:
            solution = least_squares(problem, data)
            found = None if solution is None else _loss(problem, data, solution)
    return found if found is not None and np.isfinite(found) else None


def _least_of(problem: Analytic, data: Data) -> float | None:
    """Return the height of a bowl at its minimiser."""
    turned = problem.aligned(data)
    simple = turned[1] if turned else data
    batch = {**simple.train, **simple.constants}
    found = problem.curvature(batch)
    if found is None:
        return None
    eigenvalues, minimiser = found
    return float(problem.value(minimiser + np.zeros_like(eigenvalues), batch)[0])


def least_squares(problem: LinearModel, data: Data) -> np.ndarray | None:
    """Return the solution, (features + 1, outputs), the bias last; None where it has none."""
    features, count = data.train["x"].shape[1] + 1, data.examples
    if features > MOST_FEATURES:
        return None
    gram = total(data.train, lambda x, _: with_ones(x).T @ with_ones(x))
    hessian = gram / count + np.diag(penalty(problem.l2, features))
    pull = total(data.train, lambda x, y: with_ones(x).T @ y) / count
    if not (np.isfinite(hessian).all() and np.isfinite(pull).all()):
        return None
    # Without a penalty from X itself, where it is in memory: X'X squares small singular values.
    whole = not problem.l2 and not streamed(data)
    system = (with_ones(data.train["x"]), data.train["y"]) if whole else (hessian, pull)
    try:
        solution: np.ndarray = np.linalg.lstsq(*system)[0]
    except np.linalg.LinAlgError:  # the iteration of LAPACK may not converge
        return None
    return solution


def _loss(problem: LinearModel, data: Data, solution: np.ndarray) -> float:
    def squares(x: np.ndarray, y: np.ndarray) -> float:
        return float(((with_ones(x) @ solution - y) ** 2).sum(1).sum())

    mean, weights = total(data.train, squares) / data.examples, solution[:-1]
    return float(0.5 * mean + 0.5 * problem.l2 * (weights**2).sum())
