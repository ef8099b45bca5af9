"""What one trial's curve did: it converged, was slow, stalled, oscillated or diverged."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress
from math import inf, isfinite, isnan
from typing import Literal, NamedTuple, TypeAlias

from gdcli.analysis.extrapolation import steps_to
from gdcli.analysis.quantiles import median
from gdcli.analysis.series import last_quarters
from gdcli.analysis.shape import Shape
from gdcli.analysis.thresholds import Thresholds

Word: TypeAlias = Literal["converged", "slow", "stalled", "oscillating", "diverged"]
Cause: TypeAlias = Literal["nan", "overflow", "growth"]

WORDS: tuple[Word, ...] = ("converged", "slow", "stalled", "oscillating", "diverged")
DEFAULT = Thresholds()


class Curve(NamedTuple):
    """One trial as it was recorded, the oldest point first."""

    status: str  # finished, diverged or failed
    steps: Sequence[int]
    losses: Sequence[float]  # training losses
    grad_norms: Sequence[float]  # nan, or no values, where they were not measured
    reached: bool | None = None  # whether --tol or --target-loss was; None: neither was given
    target_loss: float | None = None
    minimum: float | None = None  # of the training loss, where it is known


class Verdict(NamedTuple):
    """The word for a curve, and the figures behind it."""

    word: Word | None  # None: a failed trial, or a single point that says nothing
    cause: Cause | None = None  # of divergence
    overshoots: int = 0  # rises by more than noise, over the whole curve
    overshoot: float = 0.0  # the largest of them, over the curve's scale
    steps_left: float | None = None  # of a slow trial to its goal, extrapolated


def verdict(curve: Curve, thresholds: Thresholds = DEFAULT) -> Verdict:
    """Return what a curve did: the first that fits of the definitions below. It never raises.

    diverged     The status says so, or the last loss is not finite: nan, else overflow.
    converged    --tol or --target-loss was reached; or, where neither was given, the gap to the
                 known minimum, or the gradient norm where no minimum is known, is within `near`
                 of what it was at the start.
    diverged     By growth: the loss is above the start by more than `overshoot` of the start's
                 height, and the trend is surely upwards.
    oscillating  The second half rises by more than `overshoot` of the scale.
    slow         Still falling: the trend is surely downwards, and the level fell by more than
                 `flat` of its height, or of the fall where that is less.
    converged    Flat, where neither goal was given and no minimum is known, and the gradient norm
                 is within `stationary` of that at the start.
    stalled      Flat, and none of these: above the known minimum, short of --tol or
                 --target-loss, on a plateau, or at the noise floor of SGD.

    What a value is at the end is its level: the median of the last quarter of the recorded
    points. It fell from the level of the quarter before. A trend is sure when the points of the
    two differ by `sure` standard deviations of what noise alone gives (Mann and Whitney), so that
    the noise of SGD makes none; or when all differ alike. Heights are over the known minimum,
    else over 0 where no loss is negative. The fall is the starting loss less the lowest. The
    scale is the fall, or the height of the second half's median where that is more: on it, noise
    at a low level is small.
    """
    if curve.status == "failed":
        return Verdict(None)
    if curve.status == "diverged" or (curve.losses and not isfinite(curve.losses[-1])):
        nan = bool(curve.losses) and isnan(curve.losses[-1])
        return Verdict("diverged", "nan" if nan else "overflow")
    losses = list(filter(isfinite, curve.losses))
    if len(losses) < 2:
        return Verdict(_word_of_a_point(curve, losses))
    shape = Shape(losses, curve.minimum, thresholds)
    word = _word(curve, shape)
    left, goal = None, _goal(curve, shape)
    if word == "slow" and goal is not None:
        steps = compress(curve.steps, map(isfinite, curve.losses))
        left = steps_to(goal, list(steps), losses, curve.minimum)
    return Verdict(
        word,
        "growth" if word == "diverged" else None,
        len(shape.overshoots),
        max(shape.overshoots, default=0.0),
        left,
    )


def _word(curve: Curve, shape: Shape) -> Word:
    free = curve.reached is None  # no goal was given: the curve alone decides
    vanishing = _vanishing(curve.grad_norms) if free and curve.minimum is None else inf
    limits = shape.limits
    if curve.reached or (free and shape.at_the_minimum) or vanishing <= limits.near:
        return "converged"
    if shape.grows:
        return "diverged"
    if shape.overshoots_late:
        return "oscillating"
    if shape.falls:
        return "slow"
    return "converged" if vanishing <= limits.stationary else "stalled"


def _goal(curve: Curve, shape: Shape) -> float | None:
    """Return the loss that a slow trial is on its way to: None where none is known.

    Its target; where neither goal was given, that at which it is at its known minimum.
    """
    if curve.target_loss is not None or curve.reached is not None or curve.minimum is None:
        return curve.target_loss
    return curve.minimum + shape.limits.near * (shape.losses[0] - curve.minimum)


def _vanishing(grad_norms: Sequence[float]) -> float:
    """Return the gradient norm at the end over that at the start: inf where it is not known."""
    norms = list(filter(isfinite, grad_norms))
    if len(norms) < 2:
        return inf
    last = median(last_quarters(norms)[1])
    return last / norms[0] if norms[0] else inf if last else 0.0


def _word_of_a_point(curve: Curve, losses: Sequence[float]) -> Word | None:
    """Return converged for a trial that ended where it started: at its goal or the minimum."""
    at_the_minimum = curve.minimum is not None and any(y <= curve.minimum for y in losses)
    return "converged" if curve.reached or (curve.reached is None and at_the_minimum) else None
