"""Laws that every problem with every optimizer obeys, discovered, not listed."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gdcli.catalog.catalog import OPTIMIZERS
from gdcli.engine.examples import examples_of
from tests.grids import TRAINABLE, Trained, experiment, only, takes, train
from tests.rules import NAMES, whole
from tests.slow import FIRST

SMALL: dict[str, dict[str, Any]] = {
    "autoencoder": {"dataset": "wine", "hidden": "6", "code": "3"},
    "char-lm": {"examples": "60", "context": "3", "embedding": "4", "hidden": "7"},
    "cnn": {"examples": "48", "channels": "3,4"},
    "mlp": {"dataset": "wine", "hidden": "6"},
    "softmax-regression": {"dataset": "iris"},
    "matrix-factorization": {"rows": "12", "columns": "9", "density": "0.9"},
}
NOISY = {"quadratic": {"noise": "1", "examples": "40", "dim": "5", "rotate": "true"}}
FEWER = {"char-lm": {"examples": "500"}, "cnn": {"examples": "300"}}  # all of them take a while
OF_A_FAMILY = ("beale", "logistic-regression", "mlp", "softmax-regression")
PAIRS = sorted(
    (problem, name)
    for problem, name in product(TRAINABLE, NAMES)
    if (name in FIRST or problem in OF_A_FAMILY) and takes(problem, whole(name), SMALL.get(problem))
)


def methods(problem: str) -> str:
    """Return the methods a problem takes: only gd where there are no examples."""
    options = NOISY.get(problem, SMALL.get(problem, {}))
    one = experiment(problem, options).grid.trials[0]
    return "gd" if examples_of(one).examples == 1 else "gd,sgd,minibatch"


def same(a: Trained, b: Trained) -> bool:
    """Return whether two curves have the same bits; the sign of a nan is no part of it."""
    return (
        a.steps == b.steps
        and a.ended == b.ended
        and a.values.keys() == b.values.keys()
        and all(bits(a.values[name]) == bits(b.values[name]) for name in a.values)
    )


def bits(values: np.ndarray) -> bytes:
    return np.where(np.isnan(values), np.nan, values).tobytes()


@pytest.mark.parametrize(("problem", "optimizer"), PAIRS)
def test_a_trial_in_a_grid_equals_the_trial_alone(problem: str, optimizer: str) -> None:
    options = NOISY.get(problem, SMALL.get(problem, {}))
    settings = {"optimizer": whole(optimizer), "batch_size": "7", "steps": "9"}
    settings["method"] = methods(problem)
    # 1e30 diverges at once: neighbours must not notice.
    together = train(problem, options, lr="0.001,1e30,0.01,0.003", seed="0:2", **settings)
    alone = train(problem, options, lr="0.01", seed="1", **settings)
    for key, run in alone.items():
        assert same(run, together[key]), run.trial


@pytest.mark.parametrize("problem", TRAINABLE)
@settings(max_examples=5, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_no_subset_of_a_grid_changes_a_trials_bits(problem: str, data: st.DataObject) -> None:
    options = NOISY.get(problem, SMALL.get(problem, {}))
    rates = ["0.001", "0.002", "0.004", "0.008", "0.016", "0.032", "0.064", "0.1", "1e9", "0.2"]
    chosen = data.draw(st.lists(st.sampled_from(rates), min_size=1, unique=True))
    seeds = data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=4, unique=True))
    dtype = data.draw(st.sampled_from(["float32", "float64"]))
    common = {"method": methods(problem), "batch_size": "8", "steps": "5", "dtype": dtype}
    whole = train(problem, options, lr=",".join(rates), seed="0:4", **common)
    part = train(problem, options, lr=",".join(chosen), seed=",".join(map(str, seeds)), **common)
    assert part
    for key, run in part.items():
        assert same(run, whole[key]), run.trial


@pytest.mark.parametrize("problem", TRAINABLE)
def test_gradient_descent_lowers_the_loss_by_default(problem: str) -> None:
    losses = only(train(problem, FEWER.get(problem, {}))).losses
    assert losses[-1] < 0.9 * losses[0]
    assert np.isfinite(losses).all()


@pytest.mark.parametrize("optimizer", NAMES)
def test_every_optimizer_halves_a_loss(optimizer: str) -> None:
    own = OPTIMIZERS.find(optimizer, "").default_lr or 0.0
    lr = "1" if optimizer == "shampoo" else str(max(0.01, own))
    problem, epochs = "quadratic", "300"
    if not takes(problem, optimizer):
        epochs = "3" if optimizer in {"gauss-newton", "levenberg-marquardt"} else "30"
        problem, lr = "softmax-regression", str(max(0.1, own))
    losses = only(train(problem, optimizer=whole(optimizer), lr=lr, epochs=epochs)).losses
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid", "gelu"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_no_activation_lets_neighbours_change_bits(activation: str, dtype: str) -> None:
    # Odd widths: the last elements of a stack are not a whole register.
    options = {"dataset": "iris", "hidden": "7,5", "activation": activation}
    common = {"method": "gd,sgd,minibatch", "batch_size": "3", "steps": "12", "dtype": dtype}
    together = train("mlp", options, lr="0.01,0.1,1", seed="0:2", **common)
    for lr, seed in product(("0.01", "0.1", "1"), "012"):
        for key, run in train("mlp", options, lr=lr, seed=seed, **common).items():
            assert same(run, together[key]), run.trial
