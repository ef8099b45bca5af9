"""Facts of the data: what the best constant prediction reaches, how features differ in scale."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gdcli.datasets.out_of_core import total
from gdcli.datasets.sparse import Sparse
from gdcli.engine.examples import class_counts, class_weights, weighted
from gdcli.engine.theory.curvature import DEGENERATE, MOST_FEATURES
from gdcli.engine.theory.newton import minimize
from gdcli.problem import LinearModel, Network, OfClasses

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gdcli.problem import Batch, Data, Problem

    Matrix = NDArray[np.float64]

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
        return _finite(((part["y"] - constant) ** 2).mean()) if part else None

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
        test_loss=None if tested is None else _finite(tested),
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
    return _finite(problem.cost(scores, targets).sum() / targets.shape[1])


def _finite(value: float) -> float | None:
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
