"""scikit-learn's SGDRegressor, or SGDClassifier on sparse examples, one trial at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import hstack
from sklearn.linear_model import SGDClassifier, SGDRegressor

from benchmarks.contestants.contestant import Run
from benchmarks.contestants.scipy_loop import logistic_loss, matrix_of
from benchmarks.loaded import Loaded, Losses, load
from gdcli.datasets.sparse import Sparse

if TYPE_CHECKING:
    from benchmarks.workload import Task
    from gdcli.experiment.grid import Trial
    from gdcli.problem import Array

    Examples = tuple[Array, Array]


def prepare(task: Task) -> Run:
    """Lay out the examples in the order in which they are seen, which is not timed.

    One call then takes all steps, so that its checks of the arguments count once.
    """
    loaded = load(task)
    if isinstance(loaded.data.train["x"], Sparse):
        return _prepare_sparse(loaded)
    x, y = loaded.data.train["x"], loaded.data.train["y"][:, 0]
    orders = {seed: loaded.indices((seed,)).ravel() for seed in loaded.seeds}
    seen = {seed: (x[order], y[order]) for seed, order in orders.items()}

    def train() -> Losses:
        ends = [_train_one(loaded, trial, seen[trial.seed], (x, y)) for trial in loaded.trials]
        return Losses([before for before, _ in ends], [after for _, after in ends])

    return Run(train, loaded.dtype)


def _prepare_sparse(loaded: Loaded) -> Run:
    """Do the same for logistic regression on sparse examples.

    A last column of ones has the bias, whose rate scikit-learn changes for sparse examples. The
    rows are put into their order anew in every fit: with its own shuffle, SGDClassifier would read
    them out of order, and so does gdcli.
    """
    x, y = matrix_of(loaded), loaded.data.train["y"][:, 0]
    ones = hstack([x, np.ones((len(y), 1))]).tocsr()
    orders = {seed: loaded.indices((seed,)).ravel() for seed in loaded.seeds}

    def train_one(trial: Trial) -> tuple[float, float]:
        start = loaded.starts[trial.seed]
        weight, bias = start["weight"][:, 0], start["bias"]
        model = SGDClassifier(
            loss="log_loss",
            learning_rate="constant",
            eta0=trial.lr,
            penalty=None,
            fit_intercept=False,
            shuffle=False,
            max_iter=1,
            tol=None,
        )
        order = orders[trial.seed]
        model.fit(ones[order], y[order], coef_init=np.concatenate([weight, bias])[None])
        found = model.coef_[0]
        before = logistic_loss(weight, bias, x, y)
        return before, logistic_loss(found[:-1], found[-1], x, y)

    def train() -> Losses:
        ends = list(map(train_one, loaded.trials))
        return Losses([before for before, _ in ends], [after for _, after in ends])

    return Run(train, loaded.dtype)


def _train_one(
    loaded: Loaded, trial: Trial, seen: Examples, everything: Examples
) -> tuple[float, float]:
    """Return a trial's loss on all examples before and after its steps."""
    start = loaded.starts[trial.seed]
    weight, bias = start["weight"][:, 0], start["bias"]
    model = SGDRegressor(
        learning_rate="constant",
        eta0=trial.lr,
        penalty=None,
        shuffle=False,
        max_iter=1,
        tol=None,
    )
    # Copies: the model trains in the arrays that it is given.
    model.fit(*seen, coef_init=weight.copy(), intercept_init=bias.copy())
    return _loss(weight, bias, *everything), _loss(model.coef_, model.intercept_, *everything)


def _loss(weight: Array, bias: Array, x: Array, y: Array) -> float:
    residual = x @ weight + bias - y
    return float(0.5 * (residual @ residual) / len(y))
