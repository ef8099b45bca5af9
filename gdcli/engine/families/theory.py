"""What each family knows of its problems before they are trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np

from gdcli.engine.families.family import Theory
from gdcli.engine.families.known import (
    convex_least,
    finite,
    least_squares_loss,
    linear_model_baseline,
    linear_model_curvature,
    linear_model_spread,
    network_baseline,
    quadratic_curvature,
    quadratic_least,
)
from gdcli.engine.families.noise_floor import floors, least_squares_noise, quadratic_noise
from gdcli.problem import Analytic, LinearModel, Network

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gdcli.engine.families.known import Baseline, Curvature, FeatureSpread
    from gdcli.engine.families.noise_floor import Floor
    from gdcli.experiment.grid import Trial
    from gdcli.problem import Data, Least


class QuadraticTheory(Theory[Analytic]):
    """All is known of a quadratic, of other functions nothing."""

    def curvature(self, problem: Analytic, data: Data) -> Curvature | None:
        """Return the exact curvature of a quadratic."""
        return quadratic_curvature(problem, data)

    def least_loss(self, problem: Analytic, data: Data) -> float | None:
        """Return the height of a quadratic at its minimiser."""
        with np.errstate(all="ignore"):  # of extreme data nothing is known
            least = quadratic_least(problem, data)
        return None if least is None else finite(least)

    def floors(self, trials: Sequence[Trial], data: Data) -> list[Floor]:
        """Return the floors of a quadratic with examples."""
        return floors(trials, data, quadratic_noise) if data.train else []


class LinearModelTheory(Theory[LinearModel]):
    """Least squares is known in closed form, convex costs by Newton's method."""

    def curvature(self, problem: LinearModel, data: Data) -> Curvature | None:
        """Return the exact curvature of least squares, a bound of other costs."""
        return linear_model_curvature(problem, data)

    def least_loss(self, problem: LinearModel, data: Data) -> float | None:
        """Return the least loss of least squares."""
        with np.errstate(all="ignore"):  # of extreme data nothing is known
            least = least_squares_loss(problem, data) if problem.squared else None
        return None if least is None else finite(least)

    def bound(self, problem: LinearModel, data: Data) -> Least | None:
        """Return the least loss of a convex cost, or what it tends to, by Newton's method."""
        return convex_least(problem, data) if problem.convex else None

    def floors(self, trials: Sequence[Trial], data: Data) -> list[Floor]:
        """Return the floors of least squares."""
        squared = cast("LinearModel", trials[0].problem).squared
        return floors(trials, data, least_squares_noise) if squared else []

    def baseline(self, problem: LinearModel, data: Data) -> Baseline:
        """Return what the best bias without weights reaches."""
        return linear_model_baseline(problem, data)

    def spread(self, problem: LinearModel, data: Data) -> FeatureSpread | None:
        """Return the spread of the features' standard deviations."""
        return linear_model_spread(problem, data)


class NetworkTheory(Theory[Network]):
    """Of a network only a constant output is known."""

    def baseline(self, problem: Network, data: Data) -> Baseline | None:
        """Return what the best constant output reaches."""
        return network_baseline(problem, data)
