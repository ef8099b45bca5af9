"""The least training loss there is, of the problems that have a closed form for it."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from gdcli.engine.curvature import MOST_FEATURES, penalty, with_ones
from gdcli.engine.examples import load
from gdcli.problem import Analytic, LinearModel

if TYPE_CHECKING:
    from gdcli.grid import Trial
    from gdcli.problem import Data, Problem


def least_loss_of(trial: Trial) -> float | None:
    """Return the least training loss of a trial's problem; None where it is not known."""
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
    x, y = with_ones(data.train["x"]), data.train["y"]
    if x.shape[1] > MOST_FEATURES:
        return None
    hessian = x.T @ x / len(x) + np.diag(penalty(problem.l2, x.shape[1]))
    pull = x.T @ y / len(x)
    if not (np.isfinite(hessian).all() and np.isfinite(pull).all()):
        return None
    # Without a penalty from X itself: X'X squares small singular values.
    system = (hessian, pull) if problem.l2 else (x, y)
    try:
        solution: np.ndarray = np.linalg.lstsq(*system)[0]
    except np.linalg.LinAlgError:  # the iteration of LAPACK may not converge
        return None
    return solution


def _loss(problem: LinearModel, data: Data, solution: np.ndarray) -> float:
    residual = with_ones(data.train["x"]) @ solution - data.train["y"]
    weights = solution[:-1]
    return float(0.5 * (residual**2).sum(1).mean() + 0.5 * problem.l2 * (weights**2).sum())
