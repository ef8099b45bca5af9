"""Results that were published elsewhere: DeepOBS, scikit-learn's gallery, the worked example."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.metrics import log_loss
from sklearn.neural_network import MLPClassifier
from sklearn.neural_network import _multilayer_perceptron as perceptron
from sklearn.preprocessing import MinMaxScaler

from gdcli.engine.examples import examples_of
from gdcli.engine.families.family import starting_point
from gdcli.engine.plan import plan_of
from gdcli.engine.recorder import DIVERGED
from gdcli.engine.sampling import Orders
from gdcli.experiment.toml import load
from tests.grids import only, train, train_experiment

if TYPE_CHECKING:
    from gdcli.experiment.grid import Trial
    from gdcli.problem import Data


def test_the_deepobs_quadratic_has_its_published_losses() -> None:
    runs = train(
        "quadratic",
        {"instance": "deepobs"},
        method="minibatch",
        batch_size="128",
        order="fixed",
        remainder="drop",
        lr="0.001,0.01,0.0398",
        epochs="100",
    )
    slow, fast, beyond = runs.values()
    assert slow.values["test_loss"][0] == pytest.approx(353.446766, abs=1e-6)
    assert slow.values["test_loss"][-1] == pytest.approx(95.85, rel=0.01)
    assert fast.values["test_loss"][-1] == pytest.approx(87.28, rel=0.01)
    assert beyond.ended == DIVERGED


# How scikit-learn's gallery trains them, and the training score that it shows.
GALLERY = {
    "vanilla": ({"momentum": 0.0}, 0.956),
    "momentum": ({"momentum": 0.9, "nesterovs_momentum": False}, 0.993),
    "nesterov": ({"momentum": 0.9, "nesterovs_momentum": True}, 0.994),
}
FILE = Path(__file__).parents[2] / "experiments/sklearn-mlp.toml"


class FromOurStart(MLPClassifier):  # type: ignore[misc]  # scikit-learn carries no types
    """scikit-learn's network, from where a trial of ours starts, and in its order of examples."""

    def take(self, trial: Trial, data: Data) -> FromOurStart:
        """Draw the start and the orders of a trial."""
        self.start = iter(starting_point(trial.problem, data, trial.seed).values())
        orders = Orders("mlp", [trial.seed], plan_of(trial, data.examples), "shuffle")
        self.orders = (orders._epoch(epoch)[0] for epoch in itertools.count())
        return self

    def _init_coef(self, fan_in: int, fan_out: int, dtype: type) -> tuple[np.ndarray, np.ndarray]:
        return next(self.start).T.copy(), next(self.start)


def settings_of(optimizer: str) -> dict[str, object]:
    """Return what the gallery gives to MLPClassifier."""
    return {"solver": "sgd", "learning_rate_init": 0.2, "max_iter": 15, **GALLERY[optimizer][0]}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("initial", ["glorot", "torch"])
@pytest.mark.parametrize("optimizer", GALLERY)
def test_the_mlp_ends_where_scikit_learns_does_of_the_same_start(
    optimizer: str, initial: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"optimizer": optimizer, "initial": initial, "seed": "0", "dtype": "float64"}
    run = only(train_experiment(load(FILE, settings)))
    data = examples_of(run.trial)
    network = FromOurStart(**settings_of(optimizer)).take(run.trial, data)
    monkeypatch.setattr(perceptron, "shuffle", lambda *_, **__: next(network.orders))
    x, y = data.train["x"], data.train["y"]
    network.fit(x, y)
    assert run.values["train_accuracy"][-1] == network.score(x, y)
    # Its own divides by the batch, whose last one is smaller by three.
    penalty = 1e-4 / 200 / 2 * sum((weights**2).sum() for weights in network.coefs_)
    loss = log_loss(y, network.predict_proba(x)) + penalty
    assert run.values["train_loss"][-1] == pytest.approx(loss, rel=1e-5)


def test_the_digits_are_scaled_as_in_scikit_learns_gallery() -> None:
    x, y = load_digits(return_X_y=True)
    theirs = np.column_stack([MinMaxScaler().fit_transform(x), y])
    train = examples_of(load(FILE).grid.trials[0]).train
    ours = np.column_stack([train["x"], train["y"]])  # in another order
    np.testing.assert_allclose(sorted_rows(ours), sorted_rows(theirs), rtol=1e-15)


def sorted_rows(rows: np.ndarray) -> np.ndarray:
    """Return the rows of a matrix in the order of their numbers."""
    return rows[np.lexsort(rows.T)]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("optimizer", GALLERY)
def test_the_mlp_scores_as_in_scikit_learns_gallery(optimizer: str) -> None:
    """The gallery has one seed, whose draws are not ours: its score is one among our seeds'."""
    x, y = load_digits(return_X_y=True)
    x = MinMaxScaler().fit_transform(x)
    shown = MLPClassifier(random_state=0, **settings_of(optimizer)).fit(x, y).score(x, y)
    assert shown == pytest.approx(GALLERY[optimizer][1], abs=1e-3)
    runs = train_experiment(load(FILE, {"optimizer": optimizer, "seed": "0:9"})).values()
    scores = np.array([run.values["train_accuracy"][-1] for run in runs])
    assert abs(scores.mean() - shown) < 2 * scores.std(ddof=1)


def test_from_torchs_start_plain_sgd_scores_less() -> None:
    scores = []
    for initial in ("torch", "glorot"):
        settings = {"optimizer": "vanilla", "initial": initial, "seed": "0:5"}
        runs = train_experiment(load(FILE, settings)).values()
        scores.append([run.values["train_accuracy"][-1] for run in runs])
    assert max(scores[0]) < min(scores[1])


def test_the_worked_example_steps_from_5_to_4_4() -> None:
    # (w - 2)^2 from w = 5 is the bowl with curvature 2 around 0, from 3.
    runs = train("quadratic", {"dim": "1", "condition": "2"}, lr="0.1", steps="1")
    run = only(runs)
    # From 1 the gradient is 2 and the next point 0.8: the example's 6 and 4.4 - 2, over 3.
    assert run.values["grad_norm"][0] * 3 == 6.0
    assert run.values["distance"][1] * 3 + 2 == pytest.approx(4.4, abs=1e-15)
