"""The figures that verdicts are made of: derived once from the evidence.

The means over equal stretches of the budget tell whether a loss still falls.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import inf, isfinite, prod, sqrt
from typing import TYPE_CHECKING, NamedTuple

from gdcli.analysis.diagnosis.evidence import DescentSettings, Evidence, Known, Observed
from gdcli.analysis.diagnosis.verdict import (
    AVERAGES,
    CALMING,
    CLOSE,
    LINEAR,
    SAME,
    SHARE_ROUNDING,
    Limits,
    number,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

AHEAD = 9.0  # budgets to come: ten times as long in all
FEWEST = 8  # stretches that a trend needs


class Trend(NamedTuple):
    """What the mean losses of the second half of the budget show."""

    ahead: float  # fall to expect over AHEAD budgets more; negative: it rises
    sure: float  # standard errors by which the last quarter is below the one before


def smooth_trend(levels: Sequence[float]) -> Trend:
    """Return the trend of a loss without noise.

    The fall of each stretch is assumed to shrink by a constant factor, as it does near a minimum.
    The factor is estimated from levels two stretches apart and from levels four stretches apart;
    the trend is the geometric mean of both falls.
    """
    falls = [_geometric(levels, apart) for apart in (2, 4) if len(levels) > 2 * apart]
    if min(falls) <= 0:
        return Trend(min(falls), inf)
    return Trend(prod(falls) ** (1 / len(falls)), inf)


def _geometric(levels: Sequence[float], apart: int) -> float:
    """Return the fall ahead, estimated from levels `apart` stretches apart."""
    before = levels[-1 - 2 * apart] - levels[-1 - apart]
    now = levels[-1 - apart] - levels[-1]
    return _series(before, now, AHEAD * len(levels) / apart)


def _series(before: float, now: float, terms: float) -> float:
    """Return the sum of the next `terms` falls of a geometric series."""
    if now <= 0 or before <= 0:
        return min(now, 0.0) * terms
    factor = min(now / before, 1.0)
    if factor == 1:
        return now * terms
    return now * factor * (1 - float(factor**terms)) / (1 - factor)


def noisy_trend(levels: Sequence[float]) -> Trend:
    """Return the trend of a loss that swings, or has noise with a memory.

    The fall ahead is estimated from the means over quarters of the budget. The standard error is
    that of the residuals of the second half around a straight line, widened for the correlation of
    neighbours by Bartlett's factor for an autoregression of order one. The coefficient is
    corrected for the bias of a short series.
    """
    half = list(levels[len(levels) // 2 :])
    count = len(half)
    middle, mean = (count - 1) / 2, sum(half) / count
    spread = sum((i - middle) ** 2 for i in range(count))
    slope = sum((i - middle) * (y - mean) for i, y in enumerate(half)) / spread
    rest = [y - mean - slope * (i - middle) for i, y in enumerate(half)]
    square = sum(r * r for r in rest)
    ahead = _ahead(levels)
    if square <= 0:
        return Trend(ahead, inf if slope < 0 else -inf if slope else 0.0)
    memory = sum(a * b for a, b in pairwise(rest)) / square
    memory = min(0.8, max(0.0, memory + (1 + 3 * max(memory, 0.0)) / count))
    error = sqrt(square / (count - 2) / spread * (1 + memory) / (1 - memory))
    return Trend(ahead, -slope / error)


def _ahead(levels: Sequence[float]) -> float:
    """Return the fall ahead, estimated from the means over the last three quarters."""
    size = len(levels) // 4
    parts = [levels[-3 * size : -2 * size], levels[-2 * size : -size], levels[-size:]]
    first, second, third = (sum(part) / size for part in parts)
    before, now = first - second, second - third
    return _series(before, now, 4 * AHEAD) if before > 0 else now


FEWEST_POINTS = 7
NOISY = 3  # times as large a fall is asked of a noisy loss
RISING, RISEN = 4, 0.2  # stretches that rise one after another, and by which share of the fall
WAVERS = 1e-6  # of the fall: a late rise that is not rounding
SLOW = 10  # times as large a swing is asked of one that is slower than the last steps
PART = 0.01  # of a loss, or of a limit: what is small beside it
TENTH = 0.1  # of a known gap, or of a curvature: what is not small beside it
AHEAD_COSINE = 0.9  # cosine of two gradients that point the same way
LARGE_SLOPE = 0.5  # a gradient norm, over its largest, that has not shrunk
BACK = -0.9  # cosine of two gradients that point against one another
BACK_SLOPE = 0.01  # a gradient norm, over its largest, that is not small
NO_CURVATURE = 1e-18  # of a curvature: less than its rounding error leaves of a flat direction
ROUNDING = 1e-12  # of the loss's size: smaller falls may be rounding


@dataclass(frozen=True)
class Case:
    """One trial's evidence, and what follows from it."""

    evidence: Evidence
    limits: Limits

    @property
    def observed(self) -> Observed:
        """What the trial did."""
        return self.evidence.observed

    @property
    def descent(self) -> DescentSettings:
        """How it descended."""
        return self.evidence.descent

    @property
    def known(self) -> Known:
        """What is known of its problem."""
        return self.evidence.known

    @property
    def horizon(self) -> float:
        """The steps of the budget; where it was not spent, the steps that were taken."""
        return self.descent.horizon or self.observed.steps or 1.0

    @cached_property
    def levels(self) -> list[float]:
        """The levels that are known and finite, the oldest first."""
        return [y for y in self.observed.levels if y is not None and isfinite(y)]

    @cached_property
    def start(self) -> float:
        """The loss at the start; inf where it is not known."""
        start = self.observed.initial_train_loss
        return inf if start is None else start

    @cached_property
    def level(self) -> float:
        """The loss at the end: the mean over the last stretch where it is noisy or swings."""
        final, means = self.observed.final_train_loss, self.levels
        wavers = self.descent.stochastic or bool(self.observed.late_rises)
        spent = self.observed.status == "finished" and not self.observed.stopped_by
        if means and wavers and spent:
            return means[-1]
        return inf if final is None else final

    @cached_property
    def fall(self) -> float:
        """The loss at the start less that at the end."""
        return self.start - self.level

    @cached_property
    def gap(self) -> float | None:
        """The loss at the end less the least loss, or its infimum; None: not known."""
        least = self.known.minimum
        return None if least is None else self.level - least

    @cached_property
    def left(self) -> float | None:
        """The gap to the least loss as a share of the fall so far; None: not known."""
        return None if self.gap is None or self.fall <= 0 else max(0.0, self.gap) / self.fall

    @cached_property
    def slope(self) -> float | None:
        """The gradient norm at the end as a share of the largest one."""
        last, largest = self.observed.final_grad_norm, self.observed.largest_grad_norm
        if last is None or largest is None or not isfinite(last):
            return None
        return last / largest if largest > 0 else 0.0

    @cached_property
    def enough(self) -> bool:
        """Whether there are enough points to tell what the loss does at the end."""
        points = self.observed.watched
        enough = points is not None and points >= FEWEST_POINTS
        return enough and len(self.levels) >= min(FEWEST, FEWEST_POINTS - 1)

    @cached_property
    def trend(self) -> Trend:
        """The trend of the levels."""
        if not self.enough:
            return Trend(0.0, 0.0)
        if self.descent.stochastic or (self.wavers and self.known.rate is None):
            return noisy_trend(self.levels)
        trend = smooth_trend(self.levels)
        if self.known.rate is not None and self.gap is not None and self.descent.horizon:
            factor = float(min(1.0, self.known.rate) ** (2 * AHEAD * self.descent.horizon))
            return trend._replace(ahead=max(trend.ahead, self.gap * (1 - factor)))
        if self.descent.steady or self.pull is None:
            return trend
        return trend._replace(ahead=min(AHEAD * self.pull, self.gap or inf))  # the rate has fallen

    @cached_property
    def wavers(self) -> bool:
        """Whether full-batch descent raised the loss late, by more than rounding."""
        single = self.swing if self.observed.late_rises else 0.0
        return max(single, self.late_rise) > WAVERS

    @cached_property
    def pull(self) -> float | None:
        """The fall in as many steps again if gradient and rate stay the same; None: not known."""
        descent, norm, horizon = self.descent, self.observed.final_grad_norm, self.descent.horizon
        plain = descent.optimizer in LINEAR and descent.clip_norm is None
        if not plain or descent.weight_decay or norm is None or not horizon:
            return None
        rate = descent.lr * descent.end_multiplier / (1 - (descent.beta or 0.0))
        return rate * norm * norm * horizon

    @cached_property
    def falls_on(self) -> bool:
        """Whether the loss still falls by more than the noise, and by an amount that matters."""
        size = max(abs(self.level), abs(self.start))
        flat = self.limits.flat * (NOISY if self.descent.stochastic else 1)
        least = flat * self.fall
        if self.gap is not None and not self.descent.stochastic and not self.at_least:
            least = min(least, TENTH * self.gap)
        enough = self.trend.ahead > max(least, ROUNDING * size)
        return enough and self.trend.sure >= self.limits.sure

    @cached_property
    def swing(self) -> float:
        """The late swing as a share of the fall so far; inf where there was no fall."""
        wide = self.observed.late_swing or 0.0
        return wide / self.fall if self.fall > 0 else inf if wide else 0.0

    @cached_property
    def over_limit(self) -> float | None:
        """The learning rate over the exact limit of theory; None: there is none."""
        limit = self.known.limit
        if limit is None or not self.known.limit_exact or not self.descent.steady:
            return None
        return self.descent.lr / limit

    @property
    def least(self) -> float | None:
        """The least loss, its infimum, or a lower bound of all losses."""
        return self.known.bound if self.known.minimum is None else self.known.minimum

    @cached_property
    def near_gap(self) -> float | None:
        """The largest gap to the least loss, or its bound, that counts as none.

        It is `near` of the fall, but at most PART of the least loss. Where that is 0, a thousandth
        of the fall may be all that a flat direction has: there it is `near` times PART of the fall.
        """
        if self.least is None or self.fall <= 0:
            return None
        wide = self.limits.near * self.fall
        return max(PART * wide, min(wide, PART * abs(self.least)))

    @cached_property
    def at_least(self) -> bool:
        """Whether the gap to the least loss, or to its bound, counts as none."""
        if self.least is None:
            return False
        near = self.near_gap or 0.0
        return self.level - self.least <= near

    @cached_property
    def ended_wild(self) -> bool:
        """Whether the trial did not finish with a finite loss, so that few qualities can hold."""
        return self.observed.status != "finished" or not isfinite(self.level)

    @cached_property
    def straight_back(self) -> bool:
        """Whether the last step turned the gradient around and left it as large as before."""
        turn, slope = self.observed.gradient_turn, self.slope
        return turn is not None and turn < BACK and slope is not None and slope > BACK_SLOPE

    @cached_property
    def bouncing(self) -> bool:
        """Whether the loss swings, or its steps go to and fro, for good."""
        ratio = self.over_limit
        if ratio is not None and ratio > 1 + SAME:
            return True
        if self.descent.stochastic:
            return self.rises
        if ratio is not None and ratio >= 1 - SAME and (self.slope or 0.0) > self.limits.steep:
            return True
        return self.enough and self._bounces

    @cached_property
    def rises(self) -> bool:
        """Whether the mean loss of small batches rises again at a constant rate, for good."""
        levels, noisy = self.levels, self.descent.stochastic and self.descent.steady
        if not noisy or len(levels) < RISING or not self.enough:
            return False
        late, height = levels[-RISING:], self.start - min(levels)
        highest = levels[-1] == max(levels[len(levels) // 4 :])  # noise has been as high before
        return highest and sorted(late) == late and levels[-1] - min(levels) > RISEN * height > 0

    @property
    def _bounces(self) -> bool:
        """Whether a loss of full-batch descent swings, or its steps go to and fro, for good."""
        below = self.over_limit is not None and self.over_limit < 1
        if self.falls_on or below:  # theory: it converges
            return False
        wide, rises = self.limits.swing, bool(self.observed.late_rises)
        single = rises and max(self.swing, self.late_rise) > wide
        slow = self.late_rise > SLOW * wide and not self.vanished
        return self.straight_back or single or slow

    @cached_property
    def late_rise(self) -> float:
        """The largest rise of the second half as a share of the fall so far."""
        rise = self.observed.largest_late_rise or 0.0
        return rise / self.fall if self.fall > 0 else inf if rise else 0.0

    @cached_property
    def unmoved(self) -> bool:
        """Whether the loss is within 1% of the loss at the start."""
        return abs(self.fall) <= 0.01 * abs(self.start)

    @property
    def averaged(self) -> bool:
        """Whether the losses are those of a mean of many steps."""
        return not AVERAGES.isdisjoint(self.descent.optimizer.split("+"))

    @property
    def calms(self) -> bool:
        """Whether the optimizer lowers the noise of batches itself."""
        return self.descent.optimizer.partition("+")[0] in CALMING

    @property
    def end_in_words(self) -> str:
        """The loss at the end, or its late mean where batches make it noisy."""
        final = self.observed.final_train_loss
        if final is None or self.level == final or self.descent.stochastic:
            return f"{number(self.level)}{' on average' if self.level != final else ''}"
        return number(final)

    @cached_property
    def unhurried(self) -> bool:
        """Whether the steps were too small to change the loss, or the gradient."""
        turn, slope = self.observed.gradient_turn, self.slope
        straight = turn is not None and turn > AHEAD_COSINE and not self.observed.late_rises
        return self.unmoved and straight and slope is not None and slope > LARGE_SLOPE

    @cached_property
    def at_chance(self) -> bool:
        """Whether a model is no better than the best constant prediction."""
        known, (right, majority) = self.known, self.beside_majority
        base = known.baseline_loss
        as_base = base is not None and self.level >= base * (1 - CLOSE)
        if not known.classifier:
            return as_base
        if right is None or majority is None:
            return as_base
        return right <= majority + SHARE_ROUNDING or (as_base and right <= majority + CLOSE)

    @property
    def beside_majority(self) -> tuple[float | None, float | None]:
        """The training accuracy, and that of always answering the most frequent class.

        Both are balanced accuracies if these are recorded: where rare classes count, a lower
        accuracy may be the better answer.
        """
        known, seen = self.known, self.observed
        if self.recalls:
            return seen.final_train_balanced_accuracy, known.majority_recall
        return seen.final_train_accuracy, known.majority_train

    @property
    def recalls(self) -> bool:
        """Whether the balanced accuracy is recorded."""
        seen, known = self.observed.final_train_balanced_accuracy, self.known.majority_recall
        return seen is not None and known is not None

    @cached_property
    def curvature_size(self) -> float | None:
        """A scale for curvatures: the square of the largest gradient norm over twice the fall."""
        seen = self.observed
        most, low = seen.highest_train_loss, seen.lowest_train_loss
        if most is None or low is None or seen.largest_grad_norm is None or most <= low:
            return None
        return seen.largest_grad_norm * seen.largest_grad_norm / (2 * (most - low))

    @cached_property
    def vanished(self) -> bool:
        """Whether the gradient is small beside its largest."""
        return self.slope is not None and self.slope <= self.limits.steep

    @cached_property
    def curved_down(self) -> bool:
        """Whether the gradient vanished where the loss curves down in some direction."""
        lowest, size = self.observed.lowest_curvature, self.curvature_size
        if lowest is None or not self.vanished or self.known.convex:
            return False
        return lowest < -1e-3 * size if size is not None else lowest < 0

    @cached_property
    def at_local(self) -> bool:
        """Whether the gradient vanished, below the start, where the loss curves down nowhere.

        Where the loss does not clearly curve up, as at an inflection, the gradient must have
        vanished as fast as it only does near a minimum: in n steps by more than a factor of n
        squared, which is the rate at an inflection like that of w**3.
        """
        lowest, size, horizon = self.observed.lowest_curvature, self.curvature_size, self.horizon
        if lowest is None or size is None or self.gap is not None or self.slope is None:
            return False
        if self.fall <= 0 or self.descent.stochastic or self.falls_on:
            return False
        if lowest > TENTH * size:
            return self.vanished
        if self.slope > 0 and 0 < lowest < NO_CURVATURE * size:
            return False  # a far plateau, such as the tail of exp(-w): nothing curves there
        curves = lowest > PART * size or self.slope * horizon**2 < PART
        return curves and self.slope <= self.limits.steep**1.5 and lowest >= -1e-6 * size
