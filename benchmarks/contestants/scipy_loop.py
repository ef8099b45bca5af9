"""Logistic regression on a scipy.sparse matrix: two products a step, one trial at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_matrix

from benchmarks.contestants.contestant import Run
from benchmarks.loaded import Loaded, Losses, load

if TYPE_CHECKING:
    from benchmarks.workload import Task
    from gdcli.experiment.grid import Trial
    from gdcli.problem import Array


def prepare(task: Task) -> Run:
    """Make a matrix of scipy's from the examples."""
    loaded = load(task)
    x, y = matrix_of(loaded), loaded.data.train["y"][:, 0]

    def train() -> Losses:
        ends = [_train_one(loaded, trial, x, y) for trial in loaded.trials]
        return Losses([before for before, _ in ends], [after for _, after in ends])

    return Run(train, loaded.dtype)


def matrix_of(loaded: Loaded) -> csr_matrix:
    """Return the training examples, (examples, features), in the precision of the trials."""
    x = loaded.data.train["x"]
    return csr_matrix((x.values.astype(loaded.dtype), x.columns, x.starts), shape=x.shape)


def logistic_loss(weight: Array, bias: Array, x: csr_matrix, y: Array) -> float:
    """Return the mean loss of targets 0 and 1."""
    z = x @ weight + bias
    return float((np.logaddexp(0.0, z) - y * z).mean())


def _train_one(loaded: Loaded, trial: Trial, x: csr_matrix, y: Array) -> tuple[float, float]:
    """Return a trial's loss on all examples before and after its steps."""
    start = loaded.starts[trial.seed]
    weight, bias = start["weight"][:, 0].copy(), start["bias"].copy()
    before = logistic_loss(weight, bias, x, y)
    batches = None if loaded.full else loaded.indices((trial.seed,))[:, 0]
    for step in range(loaded.plan.steps):
        rows, targets = x, y
        if batches is not None:
            rows, targets = x[batches[step]], y[batches[step]]
        slope = 1.0 / (1.0 + np.exp(-(rows @ weight + bias))) - targets
        weight -= trial.lr / len(targets) * (rows.T @ slope)
        bias -= trial.lr * slope.mean()
    return before, logistic_loss(weight, bias, x, y)
