"""What the best constant prediction reaches: a model that does no better has learnt nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gdcli.engine.newton import minimize
from gdcli.problem import LinearModel, Network

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gdcli.problem import Batch, Data, Problem

    Matrix = NDArray[np.float64]


CLASSES = "cross_entropy"


class Baseline(NamedTuple):
    """The best constant prediction of a part's targets; None is what is not known."""

    train_loss: float | None = None  # the least one of a constant, without a penalty
    test_loss: float | None = None  # of that constant
    majority: int | None = None  # the most frequent training class, counted from 0
    train_share: float | None = None  # of the training examples, that are of that class
    test_share: float | None = None


def baseline_of(problem: Problem, data: Data) -> Baseline | None:
    """Return what a constant reaches; None of a problem that does not predict."""
    if isinstance(problem, Network):
        known = problem.criterion == CLASSES and data.train["y"].dtype.kind in "iub"
        train, test = _indices(data) if known else (np.array([], int),) * 2
        return _of_classes(train, test) if len(train) else None
    if not isinstance(problem, LinearModel):
        return None
    with np.errstate(all="ignore"):  # of extreme targets nothing is known
        if "accuracy" not in problem.metric_names:
            return _of_targets(problem, data)
        classes = _of_classes(*(_classes(part) for part in (data.train, data.test)))
        if problem.probabilities(np.zeros((data.train["y"].shape[1], 1))) is not None:
            return classes
        losses = _of_targets(problem, data)
        return classes._replace(train_loss=losses.train_loss, test_loss=losses.test_loss)


def _indices(data: Data) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the classes that count."""
    train, test = (
        np.ravel(p["y"]).astype(int) if p else np.array([], int) for p in (data.train, data.test)
    )
    return train[train >= 0], test[test >= 0]


def _classes(part: Batch) -> NDArray[np.int64]:
    """Return the class of each example from targets of 0 and 1, or from one-hot rows."""
    if not part:
        return np.array([], int)
    y = part["y"]
    held: NDArray[np.int64] = y.argmax(1) if y.shape[1] > 1 else (y[:, 0] > 0.5).astype(int)
    return held


def _of_classes(train: NDArray[np.int64], test: NDArray[np.int64]) -> Baseline:
    """Return the cross-entropy of the shares of the classes, and the share of the largest."""
    size = 1 + int(max(train.max(), test.max(initial=0)))
    counts = np.bincount(train, minlength=size)
    shares, majority = counts / len(train), int(counts.argmax())
    seen = shares[shares > 0]
    with np.errstate(divide="ignore"):
        costs = -np.log(shares[test])
    return Baseline(
        train_loss=float(-(seen * np.log(seen)).sum()),
        test_loss=_finite(costs.mean()) if len(test) else None,
        majority=majority,
        train_share=float(shares[majority]),
        test_share=float((test == majority).mean()) if len(test) else None,
    )


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
