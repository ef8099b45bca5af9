"""What is known of descent on a quadratic: stability limits and rates, from its curvatures.

The curvatures are the eigenvalues of the Hessian; L is the largest, mu the smallest. Along an axis
of curvature h, a step of a linear optimizer multiplies the gap to the minimiser, and the velocity,
by a matrix that depends on h alone (Lessard, Recht and Packard 2016; Goh, Distill 2017).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

from gdcli.optimizers.momentum import Momentum
from gdcli.optimizers.nesterov import Nesterov
from gdcli.optimizers.vanilla import Vanilla

if TYPE_CHECKING:
    from gdcli.optimizer import Optimizer


def stability_limit(optimizer: Optimizer, largest: float) -> float | None:
    """Return the learning rate below which full-batch descent converges, and above which not.

    2/L, for heavy ball 2(1+beta)/L, for Nesterov 2(1+beta)/(L(1+2 beta)). Weight decay adds to the
    curvature. None: it is not known, as for adaptive optimizers and clipped gradients.
    """
    beta = _momentum(optimizer)
    curvature = largest + optimizer.weight_decay
    if beta is None or curvature <= 0:
        return None
    ahead = 1 + 2 * beta if isinstance(optimizer, Nesterov) else 1.0
    return 2 * (1 + beta) / (curvature * ahead)


def convergence_rate(optimizer: Optimizer, lr: float, curvatures: Iterable[float]) -> float | None:
    """Return the factor by which a step shrinks the distance to the minimiser, in the long run.

    It is the spectral radius of the step's matrix, the largest over the curvatures. mu and L are
    enough of them: between the two it is no larger. None: it is not known.
    """
    beta = _momentum(optimizer)
    if beta is None:
        return None
    radius = _nesterov if isinstance(optimizer, Nesterov) else _heavy_ball
    return max(radius(lr * (h + optimizer.weight_decay), beta) for h in curvatures)


def _momentum(optimizer: Optimizer) -> float | None:
    """Return the beta of a linear optimizer, 0 for plain descent; None for any other."""
    if optimizer.clip_norm is not None:
        return None
    # A user's own kind of momentum may step in another way.
    if type(optimizer) in (Momentum, Nesterov):
        return cast("Momentum", optimizer).beta
    return 0.0 if type(optimizer) is Vanilla else None


def _heavy_ball(step: float, beta: float) -> float:
    """Return the larger root of z^2 - (1 + beta - lr h) z + beta, in size."""
    return _largest_root(1 + beta - step, beta)


def _nesterov(step: float, beta: float) -> float:
    """Return the larger root of z^2 - (1 + beta)(1 - lr h) z + beta (1 - lr h), in size."""
    return _largest_root((1 + beta) * (1 - step), beta * (1 - step))


def _largest_root(total: float, product: float) -> float:
    """Return the size of the larger root of z^2 - total z + product."""
    square = total * total - 4 * product
    if square < 0:
        return math.sqrt(product)  # a pair of complex numbers
    return (abs(total) + math.sqrt(square)) / 2
