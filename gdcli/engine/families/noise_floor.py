"""How far above the minimum plain SGD stays: the exact fixed point of its second moment.

Batches are drawn with replacement, at a constant rate. A step maps the mean square of the gap to
the minimiser by a linear map plus a constant. An epoch is some steps on whole batches, and maybe
one on fewer examples, which is noisier.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from gdcli.catalog.catalog import name_of
from gdcli.datasets.out_of_core import in_parts, total
from gdcli.engine.families.known import least_squares, penalty, with_ones
from gdcli.engine.plan import plan_of
from gdcli.optimizers.vanilla import Vanilla

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from gdcli.engine.plan import Plan
    from gdcli.experiment.grid import Trial
    from gdcli.problem import Analytic, Data, LinearModel

    Matrix = NDArray[np.float64]

MOST_CURVATURES = 10_000  # of a quadratic
MOST_MOMENTS = 500  # of least squares: 30 features; the work grows with their sixth power
MOST_PRODUCTS = 200
ROUNDING = 1e-10
MOST_WIDE = 3e9  # examples times squared features, times the products that conjugate gradients take
FLAT = 1e-12  # curvature / the largest: no example has a gradient along such an axis


class Floor(NamedTuple):
    """The mean excess over the least training loss at which SGD settles; inf: it never does."""

    batch_size: int
    lr: float
    excess: float  # at the recorded points (of a record that is `log`, over all steps)
    mean: float  # over all steps


def floors(
    trials: Sequence[Trial], data: Data, noise_of: Callable[[Any, Data], Noise | None]
) -> list[Floor]:
    """Return the floors of trials on one problem, where theory knows them: none is a guess.

    Theory knows those of plain steps at a constant rate, on batches drawn with replacement, where
    `noise_of` knows the noise: on quadratics and on least squares.
    """
    plans = {(plan_of(t, data.examples), t.lr) for t in trials if _is_plain(t)}
    with np.errstate(all="ignore"):  # of extreme data nothing is known
        noise = noise_of(trials[0].problem, data) if plans else None
        if noise is None:
            return []
        found = [_floor(noise, lr, plan) for plan, lr in sorted(plans)]
    return [floor for floor in found if not math.isnan(floor.excess)]


def _is_plain(trial: Trial) -> bool:
    drawn = trial.method != "gd" and trial.training.order == "replacement"
    if trial.training.scheduled:
        return False
    return drawn and trial.optimizer == Vanilla() and name_of(trial.schedule) == "constant"


def _floor(noise: Noise, lr: float, plan: Plan) -> Floor:
    """Return the floor of one rate and batch size."""
    whole, last = divmod(plan.examples_per_epoch, plan.batch_size)
    epoch = noise.epoch(lr, _Batches(plan.batch_size, whole, last))
    if epoch is None:
        return Floor(plan.batch_size, lr, math.inf, math.inf)
    every = math.gcd(plan.interval or 1, plan.steps_per_epoch)
    return Floor(plan.batch_size, lr, epoch.excess(every), epoch.excess(1))


class _Batches(NamedTuple):
    """The batches of an epoch."""

    size: int
    whole: int  # the number of those with `size` examples
    last: int  # the examples of one more, 0: there is none


class _Epoch(NamedTuple):
    """The second moment in an epoch; it is the same at the start and at the end.

    After k whole batches it is `settled` + shrinking^k `beyond`, along some axes.
    """

    weights: Matrix  # twice the excess is their sum over the second moment
    settled: Matrix  # the fixed point without the last, smaller batch
    shrinking: Matrix
    beyond: Matrix  # the excess over `settled` at the end
    steps: int

    def excess(self, every: int) -> float:
        """Return the mean excess after each `every`-th step, a divisor of the steps."""
        count = self.steps // every
        powers = self.shrinking**every
        sums = powers * (1 - powers ** (count - 1)) / (1 - powers) + 1
        return float(0.5 * (self.weights * (self.settled + sums / count * self.beyond)).sum())


class _Quadratic(NamedTuple):
    """A quadratic: curvatures of its axes, and the variance of an example's gradient along each."""

    curvatures: Matrix
    variances: Matrix

    def epoch(self, lr: float, batches: _Batches) -> _Epoch | None:
        """Return what an epoch settles at, None where it does not."""
        step = lr * self.curvatures
        if (step >= 2).any():
            return None
        shrinking, noise = (1 - step) ** 2, lr**2 * self.variances
        settled = noise / batches.size / (step * (2 - step))
        beyond, steps = np.zeros_like(settled), batches.whole
        if batches.last:
            steps += 1
            at_last = shrinking * settled + noise / batches.last
            beyond = (at_last - settled) / (1 - shrinking**steps)
        return _Epoch(self.curvatures, settled, shrinking, beyond, steps)


def quadratic_noise(problem: Analytic, data: Data) -> _Quadratic | None:
    """Return the noise of examples that are quadratics of the same curvature; None of others."""
    turned = problem.aligned(data)
    simple = turned[1] if turned else data
    batch = {**simple.train, **simple.constants}
    found = problem.curvature(batch)
    if found is None or len(found[0]) > MOST_CURVATURES:
        return None
    eigenvalues, minimiser = found
    at_each = {name: array[:, None] for name, array in simple.train.items()}
    point = np.broadcast_to(minimiser, eigenvalues.shape)
    gradients = problem.gradient(point, {**at_each, **simple.constants})[..., 0]
    return _Quadratic(eigenvalues[:, 0], gradients.var(0))


class _LeastSquares(NamedTuple):
    """Least squares along the axes of its Hessian.

    A symmetric matrix is a vector here: of the entries on and above the diagonal, those above it
    times the square root of 2, so that products of vectors are those of matrices.
    """

    curvatures: Matrix  # of the loss
    hessian: Matrix  # of the costs alone, without the penalty
    fourth: Matrix  # the mean over examples of x x' M x x', as a matrix that M is multiplied by
    variance: Matrix  # of an example's gradient at the minimiser

    def epoch(self, lr: float, batches: _Batches) -> _Epoch | None:
        """Return what an epoch settles at, None where it does not."""
        noise = lr**2 * self.variance
        shrinking, axes = np.linalg.eigh(self._step(lr, batches.size))
        if not shrinking.max() < 1:
            return None
        settled = axes.T @ noise / batches.size / (1 - shrinking)
        beyond, steps = np.zeros_like(settled), batches.whole
        if batches.last:
            steps += 1
            last = axes.T @ self._step(lr, batches.last) @ axes
            shift = last @ settled + axes.T @ noise / batches.last - settled
            epoch = last * shrinking**batches.whole
            if not _shrinks(last) and not abs(np.linalg.eigvals(epoch)).max() < 1:
                return None
            beyond = np.linalg.solve(np.eye(len(epoch)) - epoch, shift)
        weights = axes.T @ _vector(np.diag(self.curvatures))
        return _Epoch(weights, settled, shrinking, beyond, steps)

    def _step(self, lr: float, size: int) -> Matrix:
        """Return the map of a second moment by a step, without the noise at the minimiser."""
        mean = _both_sides(np.diag(1 - lr * self.curvatures))
        return mean + lr**2 / size * (self.fourth - _both_sides(self.hessian))


class _Wide(NamedTuple):
    """Least squares with too many features for a matrix that maps their moments.

    Second moments are matrices; the step is applied to them without writing out its matrix. Only
    the fixed point for whole batches is found.
    """

    curvatures: Matrix
    hessian: Matrix
    variance: Matrix
    features: Matrix  # of each example, along the axes

    def epoch(self, lr: float, batches: _Batches) -> _Epoch | None:
        """Return what an epoch settles at, None where it does not; nan where that is not known."""
        if lr * self.curvatures[-1] >= 2:
            return None
        work = float(self.features.size) * len(self.curvatures) * MOST_PRODUCTS
        settled = None
        if not batches.last and work <= MOST_WIDE:
            settled = self._settled(lr, batches.size)
        if settled is None:
            settled = np.full_like(self.hessian, np.nan)
        elif not np.linalg.eigvalsh(settled)[0] > -ROUNDING * abs(settled).max():
            return None  # the mean square grows without bound
        along = settled.diagonal()
        still = np.zeros_like(along)
        return _Epoch(self.curvatures, along, still, still, batches.whole)

    def _settled(self, lr: float, size: int) -> Matrix | None:
        """Return the fixed point of a step, by conjugate gradients: its equation is symmetric."""
        sums = np.add.outer(self.curvatures, self.curvatures)
        shrinking = sums - lr * np.outer(self.curvatures, self.curvatures)

        def product(moment: Matrix) -> Matrix:
            squares = ((self.features @ moment) * self.features).sum(1)
            fourth = (self.features.T * squares) @ self.features / len(self.features)
            around = self.hessian @ moment @ self.hessian
            held: Matrix = shrinking * moment - lr / size * (fourth - around)
            return held

        target = lr / size * self.variance
        moment, residual = np.zeros_like(target), target
        ready = residual / shrinking
        direction, left = ready, float((residual * ready).sum())
        goal = ROUNDING**2 * left
        for _ in range(MOST_PRODUCTS):
            image = product(direction)
            length = left / float((direction * image).sum())
            moment, residual = moment + length * direction, residual - length * image
            ready = residual / shrinking
            before, left = left, float((residual * ready).sum())
            if abs(left) <= abs(goal):
                return moment
            direction = ready + left / before * direction
        return None


Noise: TypeAlias = _Quadratic | _LeastSquares | _Wide


def least_squares_noise(problem: LinearModel, data: Data) -> _LeastSquares | _Wide | None:
    """Return the noise of least squares; None where it has no solution, or too many features."""
    solution, width = least_squares(problem, data), data.train["x"].shape[1] + 1
    if solution is None:
        return None
    gram = total(data.train, lambda x, _: with_ones(x).T @ with_ones(x)) / data.examples
    decay = np.diag(penalty(problem.l2, width))
    curvatures, axes = np.linalg.eigh(gram + decay)
    kept = curvatures > FLAT * curvatures[-1]
    curvatures, axes = curvatures[kept], axes[:, kept]
    hessian, pull = axes.T @ gram @ axes, axes.T @ decay @ solution
    pulled = pull @ pull.T  # all examples pull against the penalty

    def variance(x: Matrix, y: Matrix) -> Matrix:
        ones = with_ones(x)
        squares = ((ones @ solution - y) ** 2).sum(1)
        along = ones @ axes
        held: Matrix = (along.T * squares) @ along
        return held

    def fourth(x: Matrix, _: Matrix) -> Matrix:
        along = with_ones(x) @ axes
        products = _vector(along[:, :, None] * along[:, None])
        held: Matrix = products.T @ products
        return held

    noise = total(data.train, variance) / data.examples - pulled
    if len(curvatures) * (len(curvatures) + 1) // 2 <= MOST_MOMENTS:
        moments = total(data.train, fourth) / data.examples
        return _LeastSquares(curvatures, hessian, moments, _vector(noise))
    if in_parts(data):
        return None
    return _Wide(curvatures, hessian, noise, with_ones(data.train["x"]) @ axes)


def _shrinks(symmetric: Matrix) -> bool:
    return bool(abs(np.linalg.eigvalsh(symmetric)).max() < 1)


def _vector(matrix: Matrix) -> Matrix:
    """Return symmetric matrices, (..., width, width), as vectors."""
    rows, columns = np.triu_indices(matrix.shape[-1])
    held: Matrix = matrix[..., rows, columns] * np.where(rows == columns, 1.0, math.sqrt(2))
    return held


def _both_sides(matrix: Matrix) -> Matrix:
    """Return the matrix that maps a vector M to A M A, for a symmetric matrix A."""
    rows, columns = np.triu_indices(len(matrix))
    unit = np.where(rows == columns, math.sqrt(0.5), 1.0)
    straight = matrix[rows][:, rows] * matrix[columns][:, columns]
    crossed = matrix[rows][:, columns] * matrix[columns][:, rows]
    held: Matrix = (straight + crossed) * unit * unit[:, None]
    return held
