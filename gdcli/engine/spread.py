"""How much the units of the features differ: what makes unscaled least squares slow."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gdcli.datasets.out_of_core import total
from gdcli.engine.curvature import DEGENERATE, MOST_FEATURES
from gdcli.problem import LinearModel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gdcli.problem import Data, Problem


class Spread(NamedTuple):
    """The largest standard deviation of a training feature over the smallest above 0."""

    ratio: float
    largest: int  # the features that have them, counted from 0 without the target
    smallest: int
    standardised: float | None  # L / mu of least squares with features of mean 0 and deviation 1


def spread_of(problem: Problem, data: Data) -> Spread | None:
    """Return the spread of a linear model's features; None of others, and of constant ones."""
    if not isinstance(problem, LinearModel):
        return None
    with np.errstate(all="ignore"):  # extreme features overflow: then nothing is known
        mean = total(data.train, lambda x, _: x.sum(0)) / data.examples
        squares = total(data.train, lambda x, _: ((x - mean) ** 2).sum(0)) / data.examples
        deviation = np.sqrt(squares)
        # Rounding leaves the deviation of a constant feature tiny, but not always 0.
        varies = deviation > 1e-13 * abs(mean)
        if not varies.any() or not np.isfinite(deviation).all():
            return None
        largest = int(deviation.argmax())
        smallest = int(np.where(varies, deviation, np.inf).argmin())
        ratio = float(deviation[largest] / deviation[smallest])
        if not np.isfinite(ratio):
            return None
        standard = None
        if problem.squared and len(deviation) < MOST_FEATURES:
            unit = np.where(varies, deviation, np.inf)
            sums = total(data.train, lambda x, _: ((x - mean) / unit).T @ ((x - mean) / unit))
            standard = _condition(sums / data.examples + problem.l2 * np.eye(len(unit)))
    return Spread(ratio, largest, smallest, standard)


def _condition(hessian: NDArray[np.float64]) -> float | None:
    """Return L / mu of features without a mean, beside a bias of curvature 1; None: infinite."""
    try:
        ends = np.linalg.eigvalsh(hessian)[[0, -1]]
    except np.linalg.LinAlgError:  # the iteration of LAPACK may not converge
        return None
    smallest, largest = min(ends[0], 1.0), max(ends[1], 1.0)
    return float(largest / smallest) if smallest > DEGENERATE * largest else None
