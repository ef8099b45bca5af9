"""The minimum of a convex linear model, by Newton's method in float64.

Each step solves for the Newton direction by conjugate gradients (Nocedal and Wright 2006, chapter
7), preconditioned by the part of the Hessian that stays within each output: the whole of it where
there is one output. Features are centred and brought to unit size first, which changes the weights
and not the predictions. Work is counted in floating-point operations, so that whether there is an
answer depends on the problem, and not on how busy the machine is.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gdcli.problem import LinearModel

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

WORK = 6e9  # floating-point operations, about a second, after which it gives up
STEPS = 200
STEPS_FADING = 30  # without a minimum, such a loss falls by e in each; with one, 5 to 20 reach it
HALVINGS = 40
CLOSE = 1e-15  # the decrease that is still to come, over the loss: below its rounding
STILL = 1e-3  # the largest change of a prediction in the last step: it vanishes at a minimum
RIDGE = 1e-11  # over the sum of the curvatures: it keeps the inverse of a singular Hessian finite
FADED = 1e-9  # a second derivative of a likelihood: its probability is 1, or 0, to nine digits
FAR = 100.0  # a prediction at which a likelihood's second derivative is all but 0, and not 0
ELEMENTWISE = 30  # operations that a cost, a slope or a bending takes for a number


class Minimum(NamedTuple):
    """The greatest lower bound of the loss."""

    loss: float
    attained: bool  # at some weights; else the loss comes as near as one likes, and never there
    weights: Matrix  # (features + 1, outputs) where it is attained; the bias is last


def minimize(problem: LinearModel, x: Matrix, y: Matrix) -> Minimum | None:
    """Return the minimum of a convex model; None: there is none, or it was not found.

    x: (examples, features), without features for the best constant prediction; y: (examples,
    outputs).
    """
    if not problem.convex or not (np.isfinite(x).all() and np.isfinite(y).all()):
        return None
    with np.errstate(all="ignore"):  # of extreme data nothing is found
        search = _Search.of(problem, x, y)
        return search.run() if search.is_sound and not search.is_too_long else None


class _Point(NamedTuple):
    """Weights of the scaled features, (outputs, features + 1), and what they give."""

    weights: Matrix
    scores: Matrix  # the predictions, (outputs, examples)
    loss: float


class _Step(NamedTuple):
    """A direction, and the decrease of the loss that the full step predicts."""

    weights: Matrix
    scores: Matrix
    coming: float


@dataclass
class _Search:
    """Predictions are weights @ features: (outputs, features + 1) @ (features + 1, examples)."""

    problem: LinearModel
    features: Matrix  # scaled, the bias's last: 1
    targets: Matrix  # (outputs, examples)
    origin: Matrix  # a feature is (given - origin) / unit
    unit: Matrix
    penalty: Matrix  # of each weight's square / 2, (features + 1,)
    spent: float = 0.0
    damping: float = 0.0  # added to the curvature of the costs
    coupled: bool = False  # the inverse is of the whole Hessian, not of each output's block
    inverse: Matrix | None = None  # (1 or outputs, size, size)

    @classmethod
    def of(cls, problem: LinearModel, x: Matrix, y: Matrix) -> _Search:
        """Return a search on scaled features."""
        origin = x.mean(0)
        centred = x - origin
        size = np.sqrt((centred**2).mean(0))
        unit = np.where(size > 0, size, 1.0)
        features = np.concatenate([(centred / unit).T, np.ones((1, len(x)))])
        penalty = np.append(problem.l2 / unit**2, 0.0)
        return cls(problem, features, np.ascontiguousarray(y.T), origin, unit, penalty)

    @property
    def product_work(self) -> float:
        """The operations of a product of the Hessian with a direction."""
        outputs, examples = self.targets.shape
        return float(outputs * examples * (4.0 * len(self.features) + ELEMENTWISE))

    def inverse_work(self, *, coupled: bool) -> float:
        """Return the operations of an inverse of the Hessian, whole or of its blocks."""
        (outputs, examples), width = self.targets.shape, len(self.features)
        blocks, size = (outputs**2, outputs * width) if coupled else (outputs, width)
        sums = 2.0 * blocks * width**2 * examples + ELEMENTWISE * examples * outputs**2
        return float(sums + 2.0 * blocks * width**2 * size)

    @property
    def is_sound(self) -> bool:
        """Whether nothing overflowed."""
        numbers = self.features, self.unit, self.unit**2, self.penalty
        return all(np.isfinite(each).all() for each in numbers)

    @property
    def is_too_long(self) -> bool:
        """Whether the search would exceed WORK."""
        return 50 * self.product_work + 2 * self.inverse_work(coupled=False) > WORK

    def run(self) -> Minimum | None:
        """Return the minimum, None where it was not found."""
        point = self._at(np.zeros((len(self.targets), len(self.features))))
        first, coming, tolerance = point.loss, np.inf, 0.1
        self._damp(1.0 if self._bends(point.scores, self.targets).any() else 0.0)
        for _ in range(STEPS_FADING if self.fades and not self.problem.l2 else STEPS):
            if self.spent > WORK:
                return None
            if self._separates(point.scores):
                return Minimum(0.0, attained=False, weights=self._given(point.weights))
            scale = max(abs(point.loss), abs(first - point.loss))
            tolerance = _tolerance(coming / scale, tolerance)
            step = self._direction(point, tolerance)
            coming = step.coming
            if coming <= CLOSE * scale and abs(step.scores).max() <= STILL:
                if self._recedes(point.scores):
                    return None
                last = self._along(point, step, 1.0)
                least = min(point.loss, last.loss)
                return Minimum(least, attained=True, weights=self._given(last.weights))
            share = self._share(point, step)
            self._damp(share)
            point = self._along(point, step, share) if share else point
        return None

    def _at(self, weights: Matrix) -> _Point:
        return self._point(weights, weights @ self.features)

    def _along(self, point: _Point, step: _Step, share: float) -> _Point:
        weights = point.weights + share * step.weights
        return self._point(weights, point.scores + share * step.scores)

    def _point(self, weights: Matrix, scores: Matrix) -> _Point:
        cost = self.problem.cost(scores, self.targets).sum() / scores.shape[1]
        return _Point(weights, scores, float(cost + 0.5 * (self.penalty * weights**2).sum()))

    def _pulled(self, slopes: Matrix, weights: Matrix) -> Matrix:
        """Return the gradient of the weights from that of the predictions, with the penalty."""
        examples = slopes.shape[1]
        held: Matrix = slopes @ self.features.T / examples + self.penalty * weights
        return held

    def _separates(self, scores: Matrix) -> bool:
        """Return whether larger weights of the same direction bring every cost to 0.

        Then 0 is the greatest lower bound, which a likelihood never reaches.
        """
        if self.problem.l2 or self.problem.probabilities(scores) is None:
            return False
        return not self.problem.cost(2.0**60 * scores, self.targets).any()

    @cached_property
    def fades(self) -> bool:
        """Whether a cost's second derivative is positive and fades: its minimum may be at infinity.

        A cost like Huber's, which is straight in places, has its minimum at some point.
        """
        targets = self.targets[:, :1]
        far = [sign * FAR * _only(targets, j) for sign in (-1, 1) for j in range(len(targets))]
        bends = np.array([self._bends(scores, targets) for scores in far])
        return bool(((bends > 0) & (bends < FADED)).any())

    def _recedes(self, scores: Matrix) -> bool:
        """Return whether some cost has almost no second derivative: its prediction may diverge.

        Then the apparent minimum may only be approached: a plane separates a class from the others,
        or a class has no training example.
        """
        if not self.fades:
            return False
        bends = self._bends(scores, self.targets)
        largest = [bends.max(1)] if self.problem.l2 else [bends.max(1), bends.max(0)]
        return any(bool((each < FADED).any()) for each in largest)

    def _bends(self, scores: Matrix, targets: Matrix) -> Matrix:
        """Return the second derivative of each cost along each output, (outputs, examples)."""
        each = [self._bending(scores, targets, _only(scores, j))[j] for j in range(len(scores))]
        return np.array(each)

    def _bending(self, scores: Matrix, targets: Matrix, along: Matrix) -> Matrix:
        return np.asarray(self.problem.bending(scores, targets, along))

    def _damped(self, scores: Matrix, along: Matrix) -> Matrix:
        bent = self._bending(scores, self.targets, along)
        return bent + self.damping * along if self.damping else bent

    def _direction(self, point: _Point, tolerance: float) -> _Step:
        """Return the Newton step at a point, solved for to a fraction of the gradient."""
        gradient = self._pulled(self.problem.slope(point.scores, self.targets), point.weights)
        if self.inverse is None:
            self.inverse = self._inverted(point.scores)
        inverse, before = self.inverse, self.spent

        def product(direction: Matrix) -> Matrix:
            self.spent += self.product_work
            return self._pulled(self._damped(point.scores, direction @ self.features), direction)

        def preconditioned(residual: Matrix) -> Matrix:
            columns = residual.reshape(len(inverse), -1, 1)
            held: Matrix = (inverse @ columns).reshape(residual.shape)
            return held

        most = 20 + int(self.inverse_work(coupled=True) / self.product_work)
        step = _conjugate_gradients(product, preconditioned, -gradient, tolerance, most)
        self._renew(point.scores, self.spent - before)
        return _Step(step, step @ self.features, -0.5 * float((gradient * step).sum()))

    def _renew(self, scores: Matrix, work: float) -> None:
        """Compute the inverse again where conjugate gradients took more work than that."""
        if work > self.inverse_work(coupled=self.coupled):
            self.coupled |= work > self.inverse_work(coupled=True)
            self.inverse = self._inverted(scores)

    def _inverted(self, scores: Matrix) -> Matrix:
        """Return the inverse of the Hessian at some predictions, or of each output's block."""
        (outputs, examples), width = scores.shape, len(self.features)
        hessian = np.zeros((outputs, width, outputs, width))
        for j in range(outputs):
            bent = self._damped(scores, _only(scores, j))
            for i in range(outputs) if self.coupled else (j,):
                hessian[i, :, j] = (self.features * bent[i]) @ self.features.T / examples
            hessian[j, :, j] += np.diag(self.penalty)
        size = outputs * width
        each = hessian.reshape(1, size, size) if self.coupled else _diagonal(hessian)
        ridge = RIDGE * np.trace(each, axis1=1, axis2=2).max() or 1.0
        self.spent += self.inverse_work(coupled=self.coupled)
        return np.linalg.inv(each + ridge * np.eye(each.shape[-1]))

    def _share(self, point: _Point, step: _Step) -> float:
        """Return the share of a step that lowers the loss enough, 0 where none does."""
        rounding = 4 * np.finfo(float).eps * abs(point.loss)

        def loss(share: float) -> float:
            return self._along(point, step, share).loss

        shares = (0.5**halvings for halvings in range(HALVINGS))
        goals = ((s, point.loss - 1e-4 * s * step.coming + rounding) for s in shares)
        share = next((s for s, goal in goals if loss(s) <= goal), 0.0)
        # Where a cost is straight for a while, a step may be far too short. Where it only becomes
        # straight, as a logistic one, a longer one would hide that there is no minimum.
        while share >= 1 and not self.fades and loss(2 * share) < loss(share):
            share *= 2
        return share

    def _damp(self, share: float) -> None:
        """Increase the damping after a shortened step, decrease it after a full one."""
        before, unit = self.damping, self.problem.bend or 1.0
        if share < 0.1:
            self.damping = max(10 * self.damping, 1e-3 * unit)
        elif share >= 1:
            self.damping = self.damping / 10 if self.damping > 1e-6 * unit else 0.0
        if self.damping != before:
            self.inverse = None

    def _given(self, weights: Matrix) -> Matrix:
        """Return the weights of the unscaled features, (features + 1, outputs)."""
        slopes = weights[:, :-1] / self.unit
        bias = weights[:, -1:] - slopes @ self.origin[:, None]
        return np.concatenate([slopes, bias], axis=1).T


def _tolerance(coming: float, before: float) -> float:
    """Return how exactly to solve for a step: more exactly the smaller the remaining decrease.

    `coming` is the decrease that the last step predicted, over the loss, `before` its tolerance.
    """
    closer = float(np.clip(np.sqrt(coming), 1e-4, 0.1))
    left = coming * max(coming, before**2)  # what this step has to gain
    return float(np.clip(np.sqrt(CLOSE / left) / 3, closer, 0.1)) if left else 0.1


def _only(scores: Matrix, output: int) -> Matrix:
    """Return the direction in which one output grows."""
    along = np.zeros_like(scores)
    along[output] = 1.0
    return along


def _diagonal(hessian: Matrix) -> Matrix:
    """Return the blocks on the diagonal of (outputs, width, outputs, width)."""
    return np.array([hessian[i, :, i] for i in range(len(hessian))])


def _conjugate_gradients(
    product: Callable[[Matrix], Matrix],
    preconditioned: Callable[[Matrix], Matrix],
    target: Matrix,
    tolerance: float,
    most: int,
) -> Matrix:
    """Return an approximate x with `product`(x) = target, after at most `most` products.

    The matrix may be singular.
    """
    x, residual = np.zeros_like(target), target
    ready = preconditioned(residual)
    direction, size = ready, float((residual * ready).sum())
    goal = tolerance**2 * size
    for _ in range(most):
        image = product(direction)
        bent = float((direction * image).sum())
        if not bent > 0:  # flat, to rounding
            return x if x.any() else direction
        length = size / bent
        x = x + length * direction
        residual = residual - length * image
        ready = preconditioned(residual)
        before, size = size, float((residual * ready).sum())
        if not size > goal:
            break
        direction = ready + size / before * direction
    return x
