"""What is known of descent on a quadratic: stability limits and rates, from its curvatures.

The curvatures are the eigenvalues of the Hessian; L is the largest, mu the smallest. Along an axis
of curvature h, a step of a linear optimizer multiplies the gap to the minimiser, and the velocity,
by a matrix that depends on h alone (Lessard, Recht and Packard 2016; Goh, Distill 2017).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple, cast

from gdcli.optimizers.momentum import Momentum
from gdcli.optimizers.nesterov import Nesterov
from gdcli.optimizers.vanilla import Vanilla

if TYPE_CHECKING:
    from gdcli.engine.curvature import Curvature
    from gdcli.optimizer import Optimizer


AT = 2e-15  # a relative difference from a limit that is rounding


class Best(NamedTuple):
    """The fastest momentum at a rate, and its factor of the distance a step in the long run."""

    lr: float
    beta: float
    rate: float


class Limit(NamedTuple):
    """The learning rate at which theory says that descent ceases to be stable."""

    lr: float
    exact: bool  # descent diverges above it, but for a start without a share in the largest
    # curvature; else it converges below it, and may above it, too


def limit_of(optimizer: Optimizer, method: str, curvature: Curvature) -> Limit | None:
    """Return the limit of a setting, None where none is known.

    Where the Hessian is bounded only, plain descent on all examples converges below 2/L; batches
    with a Hessian of their own have a limit of their own.
    """
    if method != "gd" and not curvature.every_batch:
        return None
    lr = stability_limit(optimizer, curvature.largest)
    plain = type(optimizer) is Vanilla
    return Limit(lr, curvature.exact) if lr and (curvature.exact or plain) else None


def limit_formula(optimizer: Optimizer) -> str:
    """Return the limit of a linear optimizer as a formula of L, the largest curvature."""
    largest = "(L + weight decay)" if optimizer.weight_decay else "L"
    if isinstance(optimizer, Nesterov):
        return f"2(1+beta)/({largest}(1+2 beta))"
    return f"2(1+beta)/{largest}" if isinstance(optimizer, Momentum) else f"2/{largest}"


def stability_limit(optimizer: Optimizer, largest: float) -> float | None:
    """Return the learning rate below which full-batch descent converges, and above which not.

    2/L, for heavy ball 2(1+beta)/L, for Nesterov 2(1+beta)/(L(1+2 beta)). Weight decay adds to the
    curvature. None: it is not known, as for adaptive optimizers and clipped gradients.
    """
    stable, curvature = _stable_product(optimizer), largest + optimizer.weight_decay
    return None if stable is None or curvature <= 0 else stable / curvature


def stable_sharpness(optimizer: Optimizer, lr: float) -> float | None:
    """Return the curvature up to which full-batch descent at this rate is stable.

    It is 2/lr where `stability_limit` is 2/L. None: it is not known.
    """
    stable = _stable_product(optimizer)
    return None if stable is None else stable / lr - optimizer.weight_decay


def sharpness_formula(optimizer: Optimizer) -> str:
    """Return the stable sharpness of a linear optimizer as a formula of its learning rate."""
    decay = " - weight decay" if optimizer.weight_decay else ""
    if isinstance(optimizer, Nesterov):
        return f"2(1+beta)/(lr(1+2 beta)){decay}"
    return f"2(1+beta)/lr{decay}" if isinstance(optimizer, Momentum) else f"2/lr{decay}"


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


def condition_number(curvature: Curvature) -> float | None:
    """Return L / mu, mu the smallest curvature above 0; None: it is not known exactly."""
    return curvature.largest / curvature.slowest if curvature.slowest else None


def best_momentum(optimizer: Optimizer, lr: float, curvature: Curvature) -> Best | None:
    """Return the momentum at which a heavy ball or Nesterov is fastest at this learning rate.

    With more the slowest axis swings: the rate is then as slow as the momentum fades, the square
    root of beta for heavy ball. None of other optimizers, where curvatures are bounded only, and
    where no momentum makes this rate stable.
    """
    condition = condition_number(curvature)
    beta = _momentum(optimizer)
    if condition is None or beta is None or optimizer.weight_decay or type(optimizer) is Vanilla:
        return None
    steps = [lr * curvature.largest / condition, lr * curvature.largest]
    ahead = isinstance(optimizer, Nesterov)
    best = _best_nesterov(*steps) if ahead else max((1 - math.sqrt(s)) ** 2 for s in steps)
    rate = max((_nesterov if ahead else _heavy_ball)(step, best) for step in steps)
    return Best(lr, best, rate) if rate < 1 else None


def has_too_much_momentum(optimizer: Optimizer, lr: float, curvature: Curvature) -> bool:
    """Return whether less momentum would surely be faster at this learning rate."""
    best, beta = best_momentum(optimizer, lr, curvature), _momentum(optimizer)
    return best is not None and beta is not None and beta > best.beta + AT


def _stable_product(optimizer: Optimizer) -> float | None:
    """Return the learning rate times the curvature up to which descent is stable."""
    beta = _momentum(optimizer)
    if beta is None:
        return None
    ahead = 1 + 2 * beta if isinstance(optimizer, Nesterov) else 1.0
    return 2 * (1 + beta) / ahead


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


def _best_nesterov(slowest: float, fastest: float) -> float:
    """Return the beta of the least rate, for the least and the largest lr h.

    As it grows the slowest axis gets faster, until its roots meet. The fastest one gets slower
    where lr h is above 1: then the best may be where both are as fast.
    """
    if slowest >= 1:
        return 0.0
    root = math.sqrt(slowest)
    low, high = 0.0, (1 - root) / (1 + root)
    if _nesterov(fastest, high) <= _nesterov(slowest, high):
        return high
    for _ in range(60):
        middle = (low + high) / 2
        if _nesterov(fastest, middle) <= _nesterov(slowest, middle):
            low = middle
        else:
            high = middle
    return low


def _largest_root(total: float, product: float) -> float:
    """Return the size of the larger root of z^2 - total z + product."""
    square = total * total - 4 * product
    if square < 0:
        return math.sqrt(product)  # a pair of complex numbers
    return (abs(total) + math.sqrt(square)) / 2
