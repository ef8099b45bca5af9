"""Random directions of filter norm: scaled like the weights they move (Li et al. 2018)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gdcli.problem import LinearModel, Network, StatefulNetwork

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gdcli.problem import Problem
    from gdcli.studies.flat import Layout


def normalised(
    direction: NDArray[np.float64], point: NDArray[np.float64], layout: Layout, problem: Problem
) -> NDArray[np.float64]:
    """Return the direction with every filter scaled to the norm of the point's.

    A filter is what feeds one output: of a network's layer a row of the weights, or a channel's
    kernels; of a linear model a column. What is no matrix, such as the biases of a layer, is one
    filter as a whole.
    """
    scaled = direction.copy()
    places = layout.split(point)
    for name, way in layout.split(scaled).items():
        for mine, other in zip(filters(way, problem), filters(places[name], problem), strict=True):
            mine[...] *= np.linalg.norm(other) / (np.linalg.norm(mine) or 1.0)
    return scaled


def filters(array: NDArray[np.float64], problem: Problem) -> list[NDArray[np.float64]]:
    """Return the filters of a parameter, as views."""
    if array.ndim < 2:
        return [array]
    if isinstance(problem, LinearModel):
        return list(array.T)
    return list(array) if isinstance(problem, Network | StatefulNetwork) else [array]
