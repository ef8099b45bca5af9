"""The least training loss there is: of bowls, of least squares and of convex linear models."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gdcli.datasets.out_of_core import streamed, total
from gdcli.engine.class_weights import weighted
from gdcli.engine.curvature import MOST_FEATURES, penalty, with_ones
from gdcli.engine.examples import load
from gdcli.engine.newton import minimize
from gdcli.problem import Analytic, LinearModel

if TYPE_CHECKING:
    from gdcli.experiment.grid import Trial
    from gdcli.problem import Data, Problem


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
            found = _bowl(problem, data)
        elif isinstance(problem, LinearModel) and problem.squared:
            solution = least_squares(problem, data)
            found = None if solution is None else _loss(problem, data, solution)
    return found if found is not None and np.isfinite(found) else None


def _bowl(problem: Analytic, data: Data) -> float | None:
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
