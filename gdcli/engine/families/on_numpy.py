"""Problems on NumPy: functions in closed form, and linear models.

Trials of a seed lie side by side. Much is known of these problems before they are trained.
"""

from __future__ import annotations

import math
from abc import ABC
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

from gdcli.datasets.sparse import Sparse
from gdcli.engine.device import NumPy
from gdcli.engine.families.family import Family
from gdcli.engine.layout import NARROWEST, STEPS_AT_ONCE, largest_group, tiled, width_for
from gdcli.engine.plan import plan_of
from gdcli.engine.programs.analytic import AnalyticProgram
from gdcli.engine.programs.least_squares import LeastSquaresProgram
from gdcli.engine.programs.linear_model import LinearModelProgram
from gdcli.engine.programs.sparse_linear_model import SparseProgram
from gdcli.engine.theory.baseline import (
    Baseline,
    FeatureSpread,
    linear_model_baseline,
    linear_model_spread,
)
from gdcli.engine.theory.curvature import (
    Curvature,
    Least,
    convex_least,
    least_squares_loss,
    linear_model_curvature,
    quadratic_curvature,
    quadratic_least,
)
from gdcli.engine.theory.noise_floor import Noise, least_squares_noise, quadratic_noise
from gdcli.problem import Analytic, Data, LinearModel, Problem

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gdcli.engine.device import Device, Torch
    from gdcli.engine.families.objective import Objective
    from gdcli.experiment.grid import Trial

P = TypeVar("P", bound=Problem)
MOST_TRIALS = 256  # trained together


class NumPyFamily(Family[P], ABC):
    """Problems whose steps cost little, so that many trials share a batch."""

    needs_torch = False

    def objective(
        self, problem: P, data: Data, device: Torch, quantize_from_step: int
    ) -> Objective[Any]:
        """Return the function of one point, or the mean cost of the predictions of one trial."""
        from gdcli.engine.families.objective import on_torch

        return on_torch(problem, data, device)

    def batch_limit(self, method: str) -> int:
        """Return a fixed number: a step costs little."""
        return MOST_TRIALS

    def stacked(self, trials: Sequence[Trial]) -> int:
        """Return the trials of the narrowest tiles; wide ones have little more."""
        return math.prod(tiled(trials, NARROWEST).shape)


class AnalyticFamily(NumPyFamily[Analytic]):
    """What is known of a quadratic is known in closed form, of other functions nothing."""

    def program(
        self, trials: Sequence[Trial], data: Data, device: Device, width: int | None
    ) -> AnalyticProgram:
        """Return a program that turns to the axes of a quadratic where the optimizer is linear."""
        first, layout = trials[0], tiled(trials, width or NARROWEST)
        problem: Any = first.problem
        return AnalyticProgram(problem, data, layout, device, rotate=first.optimizer.linear)

    def curvature(self, problem: Analytic, data: Data) -> Curvature | None:
        """Return the exact curvature of a quadratic."""
        return quadratic_curvature(problem, data)

    def least_loss(self, problem: Analytic, data: Data) -> float | None:
        """Return the height of a quadratic at its minimiser."""
        with np.errstate(all="ignore"):  # of extreme data nothing is known
            least = quadratic_least(problem, data)
        return least if least is not None and np.isfinite(least) else None

    def noise(self, problem: Analytic, data: Data) -> Noise | None:
        """Return the noise of a quadratic with examples."""
        return quadratic_noise(problem, data) if data.train else None


class LinearModelFamily(NumPyFamily[LinearModel]):
    """Least squares is known in closed form, convex costs by Newton's method."""

    reads_in_parts = True
    has_examples = True

    def program(
        self, trials: Sequence[Trial], data: Data, device: Device, width: int | None
    ) -> LinearModelProgram:
        """Return the program of linear models, by the Hessian where it fits."""
        problem = cast("LinearModel", trials[0].problem)
        if isinstance(data.train["x"], Sparse) and isinstance(device, NumPy):
            width = -(-largest_group(trials) // NARROWEST) * NARROWEST
            layout = tiled(trials, width)
            return SparseProgram(problem, data, layout, device)
        fits = LeastSquaresProgram.fits(problem, data, device)
        kind = LeastSquaresProgram if fits else LinearModelProgram
        if width is None:
            shapes = _multiplied(trials[0], data, by_hessian=fits)
            width = width_for(trials, device, data.train["y"].shape[1], shapes)
        return kind(problem, data, tiled(trials, width), device)

    def curvature(self, problem: LinearModel, data: Data) -> Curvature | None:
        """Return the exact curvature of least squares, a bound of other costs."""
        return linear_model_curvature(problem, data)

    def least_loss(self, problem: LinearModel, data: Data) -> float | None:
        """Return the least loss of least squares."""
        with np.errstate(all="ignore"):  # of extreme data nothing is known
            least = least_squares_loss(problem, data) if problem.squared else None
        return least if least is not None and np.isfinite(least) else None

    def bound(self, problem: LinearModel, data: Data) -> Least | None:
        """Return the least loss of a convex cost, or what it tends to, by Newton's method."""
        return convex_least(problem, data) if problem.convex else None

    def noise(self, problem: LinearModel, data: Data) -> Noise | None:
        """Return the noise of least squares."""
        return least_squares_noise(problem, data) if problem.squared else None

    def baseline(self, problem: LinearModel, data: Data) -> Baseline:
        """Return what the best bias without weights reaches."""
        return linear_model_baseline(problem, data)

    def spread(self, problem: LinearModel, data: Data) -> FeatureSpread | None:
        """Return the spread of the features' standard deviations."""
        return linear_model_spread(problem, data)

    def is_convex(self, problem: LinearModel) -> bool:
        """Return what the problem says of its cost."""
        return problem.convex

    def labels(self, problem: LinearModel, targets: NDArray[Any]) -> NDArray[np.int64] | None:
        """Return the only output's class, or the output of the largest target."""
        if problem.probabilities(np.zeros((targets.shape[1], 1))) is None:
            return None
        chosen = targets[:, 0] if targets.shape[1] == 1 else targets.argmax(1)
        return np.asarray(chosen, np.int64)

    def filters(self, array: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        """Return the columns: weights are (features, outputs)."""
        return list(array.T)


def _multiplied(trial: Trial, data: Data, *, by_hessian: bool) -> set[tuple[int, int]]:
    """Return the shapes, (rows, columns), of what a step multiplies by linear models' weights.

    These are the Hessian, a batch's examples and their transpose, and the inner products of the
    examples of several steps.
    """
    features = data.train["x"].shape[1] + 1
    shapes = {(features, features)} if by_hessian else set()
    if trial.method == "gd":
        return shapes
    size = plan_of(trial, data.examples).batch_size
    counts = {size, data.examples % size or size} if size > 1 else {1, STEPS_AT_ONCE}
    shapes |= {(count, features) for count in counts}
    shapes |= {(features, count) for count in counts}
    return shapes | {(STEPS_AT_ONCE, STEPS_AT_ONCE)}
