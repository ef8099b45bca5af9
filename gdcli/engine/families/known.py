"""What is known of a problem before it is trained.

Curvature and least loss of quadratics and linear models, what the best constant prediction reaches,
and how features differ in scale.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gdcli.datasets.out_of_core import in_parts, total
from gdcli.datasets.sparse import Sparse
from gdcli.engine.examples import class_counts, class_weights, classes_in, weighted
from gdcli.engine.families.newton import minimize
from gdcli.problem import Analytic, Least, LinearModel, Network, OfClasses

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gdcli.problem import Batch, Data, Problem

    Matrix = NDArray[np.float64]

MOST_FEATURES = 2000  # of a Hessian whose eigenvalues take seconds
DEGENERATE = 1e-13  # mu / L below which mu is rounding, and tells no rate
ZERO, DOUBTFUL = 1e-15, 1e-7  # singular values / the largest: rounding, and too close to rounding
MOST_DECOMPOSED = 1e9  # examples times squared features whose singular values are found


class Curvature(NamedTuple):
    """The extreme eigenvalues of the Hessian of the loss over all training examples."""

    largest: float  # L
    smallest: float  # mu
    exact: bool  # the Hessian is the same at every point; else bounds of it: L from above, mu below
    every_batch: bool  # and that of any batch of the examples
    smallest_positive: float | None = None  # of an exact Hessian, where its rank is certain: along
    # axes of curvature 0 neither the loss nor descent changes anything

    @property
    def slowest(self) -> float | None:
        """The curvature that limits the rate of descent in the long run; None: not known."""
        if not self.exact or self.smallest_positive is not None:
            return self.smallest_positive
        # A manifest of an earlier version has the smallest alone.
        return self.smallest if self.smallest > DEGENERATE * self.largest else None


def quadratic_curvature(problem: Analytic, data: Data) -> Curvature | None:
    """Return the curvature of a quadratic along its axes; None of another function."""
    turned = problem.aligned(data)
    simple = turned[1] if turned else data
    found = problem.curvature({**simple.train, **simple.constants})
    if found is None:
        return None
    largest, smallest = float(found[0].max()), float(found[0].min())
    positive = found[0][found[0] > DEGENERATE * largest]
    least = float(positive.min()) if positive.size else None
    return Curvature(largest, smallest, exact=True, every_batch=True, smallest_positive=least)


def linear_model_curvature(problem: LinearModel, data: Data) -> Curvature | None:
    """Return the ends of the eigenvalues of b X'X / n + l2, X with a column of ones.

    b is the largest second derivative of the cost (1 for least squares, where the ends are exact,
    1/4 for logistic, 1/2 for softmax regression); None: it has no bound that is known. Each example
    counts as it does in the loss.
    """
    bend = problem.bend
    if bend is None:
        return None
    features = data.train["x"].shape[1] + 1
    if features > MOST_FEATURES:
        return None
    with np.errstate(all="ignore"):  # extreme features overflow: then nothing is known
        each = class_weights(problem, data)

        def squares(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
            rows = with_ones(x)
            if each is None:
                return rows.T @ rows
            return (rows.T * each[classes_in({"y": y})]) @ rows

        gram = total(data.train, squares)
        hessian = bend * gram / data.examples + np.diag(penalty(problem.l2, features))
    if not np.isfinite(hessian).all():
        return None
    try:
        ends = np.linalg.eigvalsh(hessian)[[0, -1]].clip(0)
    except np.linalg.LinAlgError:  # the iteration of LAPACK may not converge
        return None
    if not problem.squared:
        # Other costs have no least second derivative above 0: it vanishes far from the minimum.
        return Curvature(float(ends[1]), 0.0, exact=False, every_batch=False)
    smallest, largest = map(float, ends)
    positive = smallest if smallest > DEGENERATE * largest else _smallest_positive(problem, data)
    return Curvature(largest, smallest, exact=True, every_batch=False, smallest_positive=positive)


def _smallest_positive(problem: LinearModel, data: Data) -> float | None:
    """Return the smallest curvature above 0 of least squares with collinear features.

    It comes from the singular values of X: their squares in X'X are too inexact to tell a small one
    from 0. None where the rank stays in doubt, or the decomposition takes too long.
    """
    rows, width = data.examples, data.train["x"].shape[1] + 1
    if problem.l2 or in_parts(data) or rows * width**2 > MOST_DECOMPOSED:
        return None
    try:
        values = np.linalg.svd(with_ones(data.train["x"]), compute_uv=False)
    except np.linalg.LinAlgError:
        return None
    zero = values <= ZERO * max(rows, width) * values[0]
    kept = values[~zero]
    # A tiny value that is not 0 cannot be told from rounding.
    if kept[-1] <= DOUBTFUL * values[0]:
        return None
    return float(kept[-1] ** 2 / rows)


def with_ones(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return features with a column of ones, whose weight is the bias."""
    return np.concatenate([x, np.ones_like(x[:, :1])], axis=1)


def penalty(l2: float, size: int) -> NDArray[np.float64]:
    """Return the penalty's curvature along each weight: 0 for the bias, which is last."""
    added = np.full(size, l2)
    added[-1] = 0.0
    return added


MOST_STREAMED = 2**19  # numbers of examples on disk, or sparse, that are read at once


def convex_least(problem: LinearModel, data: Data) -> Least | None:
    """Return the least training loss of a convex cost, or what it tends to, by Newton's method."""
    x, y = data.train["x"], data.train["y"]
    if in_parts(data) and math.prod(x.shape) > MOST_STREAMED:
        return None
    found = minimize(weighted(problem, data), np.asarray(x), y)
    return Least(found.loss, found.attained) if found else None


def quadratic_least(problem: Analytic, data: Data) -> float | None:
    """Return the height of a quadratic at its minimiser; None of another function."""
    turned = problem.aligned(data)
    simple = turned[1] if turned else data
    batch = {**simple.train, **simple.constants}
    found = problem.curvature(batch)
    if found is None:
        return None
    eigenvalues, minimiser = found
    return float(problem.value(minimiser + np.zeros_like(eigenvalues), batch)[0])


def least_squares(problem: LinearModel, data: Data) -> np.ndarray | None:
    """Return the solution, (features + 1, outputs), the bias last; None where it has none."""
    features, count = data.train["x"].shape[1] + 1, data.examples
    if features > MOST_FEATURES:
        return None
    gram = total(data.train, lambda x, _: with_ones(x).T @ with_ones(x))
    hessian = gram / count + np.diag(penalty(problem.l2, features))
    pull = total(data.train, lambda x, y: with_ones(x).T @ y) / count
    if not (np.isfinite(hessian).all() and np.isfinite(pull).all()):
        return None
    # Without a penalty from X itself, where it is in memory: X'X squares small singular values.
    whole = not problem.l2 and not in_parts(data)
    system = (with_ones(data.train["x"]), data.train["y"]) if whole else (hessian, pull)
    try:
        solution: np.ndarray = np.linalg.lstsq(*system)[0]
    except np.linalg.LinAlgError:  # the iteration of LAPACK may not converge
        return None
    return solution


def least_squares_loss(problem: LinearModel, data: Data) -> float | None:
    """Return the least training loss of least squares; None where there is no solution."""
    solution = least_squares(problem, data)
    if solution is None:
        return None

    def squares(x: np.ndarray, y: np.ndarray) -> float:
        return float(((with_ones(x) @ solution - y) ** 2).sum(1).sum())

    mean, weights = total(data.train, squares) / data.examples, solution[:-1]
    return float(0.5 * mean + 0.5 * problem.l2 * (weights**2).sum())


CLASSES = "cross_entropy"


class Baseline(NamedTuple):
    """The best constant prediction of the targets; None: not known."""

    train_loss: float | None = None  # the least loss of a constant, without a penalty
    test_loss: float | None = None  # of that constant
    majority: int | None = None  # the most frequent training class, counted from 0
    train_share: float | None = None  # share of the training examples of that class
    test_share: float | None = None
    name: str | None = None  # what that class is called
    train_recall: float | None = None  # balanced accuracy of that answer, where it is recorded
    test_recall: float | None = None


def linear_model_baseline(problem: LinearModel, data: Data) -> Baseline:
    """Return what the best bias without weights reaches."""
    with np.errstate(all="ignore"):  # of extreme targets nothing is known
        if "accuracy" not in problem.metric_names:
            return _of_targets(problem, data)
        classes = _of_classes(problem, data)
        if problem.probabilities(np.zeros((data.train["y"].shape[1], 1))) is not None:
            return classes
        losses = _of_targets(weighted(problem, data), data)
        return classes._replace(train_loss=losses.train_loss, test_loss=losses.test_loss)


def network_baseline(problem: Network, data: Data) -> Baseline | None:
    """Return what the best constant output reaches; None for a criterion that is not known."""
    if problem.classifies:
        counted = data.train["y"].dtype.kind in "iub" and len(class_counts(data.train))
        found = _of_classes(problem, data) if counted else None
        if found is None or problem.criterion == CLASSES:
            return found
        # A criterion with settings of its own: what it makes of a constant is not known.
        return found._replace(train_loss=None, test_loss=None)
    if problem.criterion != "mse" or data.train["y"].size != data.examples:
        return None
    constant = data.train["y"].mean(0)

    def loss(part: Batch) -> float | None:
        return finite(((part["y"] - constant) ** 2).mean()) if part else None

    return Baseline(loss(data.train), loss(data.test))


def _of_classes(problem: Problem, data: Data) -> Baseline:
    """Return the cross-entropy of the shares of the classes, and the share of the largest."""
    counts = class_counts(data.train)
    test = class_counts(data.test, len(counts))
    counts = np.pad(counts, (0, len(test) - len(counts)))
    majority, examples = int(counts.argmax()), counts.sum()
    each = class_weights(problem, data)
    recalls = isinstance(problem, OfClasses) and problem.recalls
    heavy = counts if each is None else counts * each  # weight of each class in the loss
    shares = heavy / heavy.sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        costs = -np.log(shares) if each is None else -np.log(shares) * each
        tested = np.where(test > 0, test * costs, 0.0).sum() / test.sum() if test.any() else None
        trained = np.where(counts > 0, counts * costs, 0.0).sum() / examples
    return Baseline(
        train_loss=float(trained),
        test_loss=None if tested is None else finite(tested),
        majority=majority,
        train_share=float(counts[majority] / examples),
        test_share=float(test[majority] / test.sum()) if test.any() else None,
        name=data.classes[majority] if majority < len(data.classes) else None,
        train_recall=_recall(counts, majority) if recalls else None,
        test_recall=_recall(test, majority) if recalls and test.any() else None,
    )


def _recall(counts: NDArray[np.int64], answer: int) -> float:
    """Return the mean recall over the classes of a constant answer."""
    return float((counts[answer] > 0) / (counts > 0).sum())


def _of_targets(problem: LinearModel, data: Data) -> Baseline:
    """Return the losses of the best constant."""
    y = data.train["y"]
    if problem.squared:
        constant = y.mean(0)
    else:
        found = minimize(problem, np.empty((len(y), 0)), y)
        if found is None or not found.attained:
            return Baseline()
        constant = found.weights[0]
    return Baseline(_loss(problem, constant, data.train), _loss(problem, constant, data.test))


def _loss(problem: LinearModel, constant: Matrix, part: Batch) -> float | None:
    if not part:
        return None
    targets = part["y"].T
    scores = np.broadcast_to(constant[:, None], targets.shape)
    return finite(problem.cost(scores, targets).sum() / targets.shape[1])


def finite(value: float) -> float | None:
    """Return a number, None where it is infinite or nan."""
    return float(value) if np.isfinite(value) else None


class FeatureSpread(NamedTuple):
    """The largest standard deviation of a training feature over the smallest above 0."""

    ratio: float
    largest: int  # the features that have them, counted from 0 without the target
    smallest: int
    standardised: float | None  # L / mu of least squares with features of mean 0 and deviation 1


def linear_model_spread(problem: LinearModel, data: Data) -> FeatureSpread | None:
    """Return the spread of a linear model's features; None where they are constant."""
    with np.errstate(all="ignore"):  # extreme features overflow: then nothing is known
        mean, deviation = _moments(data)
        # Rounding leaves the deviation of a constant feature tiny, but not always 0.
        varies = deviation > 1e-13 * abs(mean)
        if not varies.any() or not np.isfinite(deviation).all():
            return None
        largest = int(deviation.argmax())
        smallest = int(np.where(varies, deviation, np.inf).argmin())
        ratio = float(deviation[largest] / deviation[smallest])
        if not np.isfinite(ratio):
            return None
        standard = None
        if problem.squared and len(deviation) < MOST_FEATURES:
            unit = np.where(varies, deviation, np.inf)
            sums = total(data.train, lambda x, _: ((x - mean) / unit).T @ ((x - mean) / unit))
            standard = _condition(sums / data.examples + problem.l2 * np.eye(len(unit)))
    return FeatureSpread(ratio, largest, smallest, standard)


def _moments(data: Data) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean and the standard deviation of each training feature."""
    x = data.train["x"]
    if isinstance(x, Sparse):
        return x.means(), x.deviations()
    mean = total(data.train, lambda x, _: x.sum(0)) / data.examples
    squares = total(data.train, lambda x, _: ((x - mean) ** 2).sum(0)) / data.examples
    return mean, np.sqrt(squares)


def _condition(hessian: NDArray[np.float64]) -> float | None:
    """Return L / mu of features without a mean, beside a bias of curvature 1; None: infinite."""
    try:
        ends = np.linalg.eigvalsh(hessian)[[0, -1]]
    except np.linalg.LinAlgError:  # the iteration of LAPACK may not converge
        return None
    smallest, largest = min(ends[0], 1.0), max(ends[1], 1.0)
    return float(largest / smallest) if smallest > DEGENERATE * largest else None
