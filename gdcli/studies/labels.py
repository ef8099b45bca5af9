"""The class that each training example is said to have, and labels that are changed on purpose."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from gdcli.discovery import name_of
from gdcli.engine.streams import stream
from gdcli.problem import LinearModel, Network

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gdcli.grid import Trial
    from gdcli.problem import Array, Data

Labels: TypeAlias = "NDArray[np.int64]"


def labels_of(trial: Trial, data: Data) -> Labels | None:
    """Return the training examples' classes, (examples,); None where there are no classes."""
    y = data.train["y"]
    if isinstance(trial.problem, Network):
        return y.astype(np.int64) if trial.problem.classifies else None
    assert isinstance(trial.problem, LinearModel)  # noqa: S101 -- others are refused before
    if trial.problem.probabilities(np.zeros((y.shape[1], 1))) is None:
        return None
    return np.asarray(y[:, 0] if y.shape[1] == 1 else y.argmax(1), np.int64)


def classes_of(data: Data, labels: Labels) -> int:
    """Return how many classes there are; the training part alone may lack some."""
    y = data.train["y"]
    if y.ndim == 2:
        return max(2, int(y.shape[1]))
    return 1 + max(int(labels.max()), *(int(part["y"].max()) for part in [data.test] if part), 1)


def flipped(trial: Trial, labels: Labels, classes: int, fraction: float) -> Labels:
    """Return the labels with a fraction of them, drawn by the data seed, wrong.

    A wrong label is any of the other classes, all alike. What is wrong at a fraction is wrong at
    every larger one.
    """
    rng = stream(name_of(trial.problem), trial.training.data_seed, "flip")
    chosen = rng.permutation(len(labels))[: round(fraction * len(labels))]
    shift = rng.integers(1, classes, len(labels))
    wrong = labels.copy()
    wrong[chosen] = (labels[chosen] + shift[chosen]) % classes
    return wrong


def with_labels(data: Data, labels: Labels) -> Data:
    """Return data whose training examples have these classes, written as the targets were."""
    return replace(data, train={**data.train, "y": _written(data.train["y"], labels)})


def _written(y: Array, labels: Labels) -> Array:
    if y.ndim == 1:
        return labels.astype(y.dtype)
    if y.shape[1] == 1:
        return labels[:, None].astype(y.dtype)
    return np.eye(y.shape[1], dtype=y.dtype)[labels]
