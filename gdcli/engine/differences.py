"""Derivatives of functions that are known by their values alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from gdcli.arrays import namespace

if TYPE_CHECKING:
    from gdcli.problem import Array


def derivative_along(function: Callable[[Array], Array], point: Array, direction: Array) -> Array:
    """Return the derivative of a function along a direction, by a central difference.

    Points have shape (..., dimension, columns), and the function takes each column for itself. The
    step is the third root of the precision, where rounding and the third derivative weigh alike:
    about ten digits hold in float64, three in float32.
    """
    xp = namespace(point)
    length, size = _largest(direction), _largest(point)
    root = xp.finfo(point.dtype).eps ** (1 / 3)
    step = root * xp.where(size > 1, size, 1.0) / xp.where(length > 0, length, 1.0)
    ahead, behind = point + step * direction, point - step * direction
    return (function(ahead) - function(behind)) / (2 * step)


def _largest(array: Array) -> Array:
    """Return the largest number of each column, in size, shape (..., 1, columns)."""
    xp = namespace(array)
    return xp.max(xp.abs(array), axis=-2, keepdims=True)
