"""Linear models: the program that fits the data and the device.

Trials of a seed lie side by side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np

from gdcli.datasets.sparse import Sparse
from gdcli.engine.device import NumPy
from gdcli.engine.families.family import NumPyFamily
from gdcli.engine.layout import NARROWEST, STEPS_AT_ONCE, largest_group, tiled, width_for
from gdcli.engine.plan import plan_of
from gdcli.engine.programs.least_squares import LeastSquaresProgram
from gdcli.engine.programs.linear_model import LinearModelProgram
from gdcli.problem import Data, LinearModel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gdcli.engine.device import Device
    from gdcli.experiment.grid import Trial


class LinearModelFamily(NumPyFamily[LinearModel]):
    """Predictions by matrix products, of numbers that may be sparse or stay on disk."""

    minimised_as = "OfLinearModel"
    known_by = "LinearModelTheory"
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
            from gdcli.engine.programs.sparse_linear_model import SparseProgram

            return SparseProgram(problem, data, layout, device)
        fits = LeastSquaresProgram.fits(problem, data, device)
        kind = LeastSquaresProgram if fits else LinearModelProgram
        if width is None:
            shapes = _multiplied(trials[0], data, by_hessian=fits)
            width = width_for(trials, device, data.train["y"].shape[1], shapes)
        return kind(problem, data, tiled(trials, width), device)

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
