"""scikit-learn's SGDRegressor: compiled, one example at a time, one trial at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sklearn.linear_model import SGDRegressor

from benchmarks.contestants.contestant import Run
from benchmarks.loaded import Loaded, Losses, load
from benchmarks.workload import Task
from gdcli.problem import Array

if TYPE_CHECKING:
    from gdcli.experiment.grid import Trial

    Examples = tuple[Array, Array]


def prepare(task: Task) -> Run:
    """Lay out the examples in the order in which they are seen, which is not timed.

    One call then takes all steps, so that its checks of the arguments count once.
    """
    loaded = load(task)
    x, y = loaded.data.train["x"], loaded.data.train["y"][:, 0]
    orders = {seed: loaded.indices((seed,)).ravel() for seed in loaded.seeds}
    seen = {seed: (x[order], y[order]) for seed, order in orders.items()}

    def train() -> Losses:
        ends = [_train_one(loaded, trial, seen[trial.seed], (x, y)) for trial in loaded.trials]
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
