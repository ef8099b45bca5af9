"""Closed forms on quadratics: rates, stability limits and the floor of SGD (references in docs)."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gdcli.engine.examples import examples_of
from gdcli.engine.recorder import DIVERGED
from tests.grids import only, train

CONDITION = 100.0  # eigenvalues from mu = 1 to L = 100
ROOT = math.sqrt(CONDITION)


def distances(optimizer: str, lr: float, steps: int, **vary: str) -> np.ndarray:
    """Return ||w_t - w*|| of a run on a bowl with two eigenvalues, 1 and CONDITION."""
    run = train(
        "quadratic",
        {"condition": str(CONDITION), "dim": "2"},
        optimizer=optimizer,
        lr=repr(lr),
        steps=str(steps),
        record="step",
        vary={f"{optimizer}.{name}": value for name, value in vary.items()},
    )
    return only(run).values["distance"]


@pytest.mark.parametrize(
    ("lr", "rate"),
    [
        (1 / CONDITION, 1 - 1 / CONDITION),
        (2 / (CONDITION + 1), (CONDITION - 1) / (CONDITION + 1)),
    ],
)
def test_gradient_descent_contracts_at_its_rate(lr: float, rate: float) -> None:
    path = distances("vanilla", lr, 1500)
    assert path[1500] / path[1499] == pytest.approx(rate, rel=1e-9)


@pytest.mark.parametrize(
    ("optimizer", "lr", "beta", "rate"),
    [
        ("momentum", 4 / (ROOT + 1) ** 2, ((ROOT - 1) / (ROOT + 1)) ** 2, (ROOT - 1) / (ROOT + 1)),
        ("nesterov", 1 / CONDITION, (ROOT - 1) / (ROOT + 1), 1 - 1 / ROOT),
    ],
)
def test_tuned_momentum_falls_like_t_rho_to_the_t(
    optimizer: str, lr: float, beta: float, rate: float
) -> None:
    path = distances(optimizer, lr, 120, beta=repr(beta))
    times = np.arange(40, 121)
    # The iteration matrix has a double root, so the distance is (a + b t) rho^t.
    scaled = path[40:] / rate**times
    line = np.polynomial.Polynomial.fit(times, scaled, 1)
    assert np.abs(line(times) / scaled - 1).max() < 1e-3


@pytest.mark.parametrize(
    ("optimizer", "vary", "limit"),
    [
        ("vanilla", {}, 2 / CONDITION),
        ("momentum", {"beta": "0.5"}, 2 * 1.5 / CONDITION),
        ("nesterov", {"beta": "0.5"}, 2 * 1.5 / (CONDITION * 2)),
    ],
)
def test_the_stability_limit_separates_convergence_from_divergence(
    optimizer: str, vary: dict[str, str], limit: float
) -> None:
    below = distances(optimizer, 0.99 * limit, 4000, **vary)
    above = distances(optimizer, 1.01 * limit, 4000, **vary)
    assert below[-1] < 1e-3 * below[0]
    assert above[-1] > 1e3 * above[0]


def test_a_trial_above_the_limit_ends_as_diverged() -> None:
    run = only(train("quadratic", {"condition": "10"}, lr="0.3", epochs="200"))
    assert run.ended == DIVERGED
    assert run.losses[-1] > 1e9 * run.losses[0]
    assert (run.losses[:-1] <= 1e9 * run.losses[0]).all()
    assert len(run.steps) < 200


def test_sgd_with_replacement_settles_at_its_noise_floor() -> None:
    lr, batch, noise, condition = 0.05, 4, 0.5, 8.0
    runs = train(
        "quadratic",
        {"condition": str(condition), "noise": str(noise), "examples": "4000"},
        method="minibatch",
        batch_size=str(batch),
        order="replacement",
        lr=repr(lr),
        epochs="12",
        seed="0:63",
        record="100",
    )
    first = next(iter(runs.values()))
    data = examples_of(first.trial)
    curvature = data.constants["eigenvalues"]
    examples = data.train["x"]
    lowest = 0.5 * (curvature * examples.var(0)).sum()
    # The gradient's noise along an eigenvector is h^2 times the examples' variance along it.
    variance = curvature**2 * examples.var(0)
    floor = (lr * variance / (2 * batch * (2 - lr * curvature))).sum()
    settled = np.concatenate([run.losses[20:] for run in runs.values()])
    assert (settled - lowest).mean() == pytest.approx(floor, rel=0.05)


def test_least_squares_contracts_by_its_smallest_curvature() -> None:
    run = only(
        train("linear-regression", {"test_fraction": "0"}, lr="0.3", epochs="6000", record="1000")
    )
    # At lr 0.3 < 1 / L the slowest mode, the smallest eigenvalue of X'X / n, decides.
    data = examples_of(run.trial)
    x = np.c_[data.train["x"], np.ones(len(data.train["x"]))]
    smallest = np.linalg.eigvalsh(x.T @ x / len(x)).min()
    least = run.losses[-1]
    excess = run.losses[1:3] - _lowest(x, data.train["y"][:, 0])
    assert excess[1] / excess[0] == pytest.approx((1 - 0.3 * smallest) ** 2000, rel=1e-3)
    assert least >= _lowest(x, data.train["y"][:, 0])


def _lowest(x: np.ndarray, y: np.ndarray) -> float:
    weights = np.linalg.lstsq(x, y, rcond=None)[0]
    return float(0.5 * ((x @ weights - y) ** 2).mean())
