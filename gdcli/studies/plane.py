"""Which plane of the parameters is looked at, and where points lie in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gdcli.discovery import name_of
from gdcli.engine.streams import stream
from gdcli.studies.filters import normalised

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gdcli.problem import Problem
    from gdcli.studies.flat import Layout

    Vector = NDArray[np.float64]

STRAIGHT = 1e-9  # of the way from start to end: what is off it by less is rounding


@dataclass(frozen=True)
class Plane:
    """The points origin + x axes[0] + y axes[1]."""

    origin: Vector  # (parameters,)
    axes: Vector  # (2, parameters)
    names: tuple[str, str]  # of the coordinates
    words: str  # what the plane is

    def coordinates(self, points: NDArray[np.floating]) -> Vector:
        """Return where points, (count, parameters), lie or are projected to: (count, 2)."""
        gaps = points - self.origin
        return np.asarray(np.linalg.solve(self.axes @ self.axes.T, self.axes @ gaps.T).T, float)

    def points(self, coordinates: Vector) -> Vector:
        """Return the parameters, (count, parameters), at coordinates (count, 2)."""
        points: Vector = self.origin + coordinates @ self.axes
        return points

    def distances(self, points: NDArray[np.floating]) -> Vector:
        """Return how far points, (count, parameters), are from the plane."""
        gaps = points - self.points(self.coordinates(points))
        lengths: Vector = np.sqrt((gaps * gaps).sum(1))
        return lengths

    def share(self, points: NDArray[np.floating]) -> float:
        """Return the part of the points' variance that the plane holds, from 0 to 1."""
        centred = points - points.mean(0)
        projected = self.points(self.coordinates(points))
        total = float((centred**2).sum())
        held = float(((projected - projected.mean(0)) ** 2).sum())
        return min(held / total, 1.0) if total else 1.0


def of_two_parameters(layout: Layout) -> Plane:
    """Return the plane of a problem that has no more than two parameters: all there is."""
    first, second = layout.names()
    return Plane(np.zeros(2), np.eye(2), (first, second), f"all parameters, {first} and {second}")


def principal(start: Vector, end: Vector, points: Vector, problem: Problem) -> Plane:
    """Return the plane through start and end in the direction in which the points differ most.

    The second direction is the first principal component of what is left of the points without
    their share in the first one. Where nothing is left it is drawn at random.
    """
    length = float(np.linalg.norm(end - start))
    along = (end - start) / length
    left = _without(points - end, along)
    across = _first_component(left)
    through = "the plane through the lowest trial's start and end"
    words = f"{through}, in the direction in which the trials differ most"
    if across is None or np.linalg.norm(left, axis=1).max() < STRAIGHT * length:
        drawn = stream(name_of(problem), "directions").standard_normal(end.size)
        across = _without(drawn[None], along)[0]
        words = f"{through}, in a random direction"
    across /= np.linalg.norm(across)
    # An eigenvector may point either way.
    across *= np.sign(across[abs(across).argmax()])
    names = "along, from the end", "across"
    return Plane(end, np.stack([along, across]), names, words)


def _without(gaps: Vector, along: Vector) -> Vector:
    return gaps - (gaps @ along)[:, None] * along


def _first_component(gaps: Vector) -> Vector | None:
    """Return the direction of largest variance, by way of the smaller matrix of products."""
    gaps = gaps - gaps.mean(0)
    if not gaps.any():
        return None
    if len(gaps) > gaps.shape[1]:
        largest: Vector = np.linalg.eigh(gaps.T @ gaps)[1][:, -1]
        return largest
    return np.asarray(gaps.T @ np.linalg.eigh(gaps @ gaps.T)[1][:, -1])


def random(end: Vector, layout: Layout, problem: Problem) -> Plane:
    """Return the plane through a point along two random directions of filter norm."""
    rng = stream(name_of(problem), "directions")
    axes = [normalised(rng.standard_normal(end.size), end, layout, problem) for _ in range(2)]
    names = "direction 1", "direction 2"
    words = "two random directions around the lowest end, as long as its filters (Li et al. 2018)"
    return Plane(end, np.stack(axes), names, words)
