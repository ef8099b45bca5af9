"""Least losses by Newton's method, against SciPy, scikit-learn, published figures and descent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize as scipy_minimize
from sklearn.linear_model import LogisticRegression, PoissonRegressor

from gdcli.engine.examples import examples_of
from gdcli.engine.families import newton
from gdcli.engine.families.newton import Minimum, minimize
from gdcli.problem import Array, LinearModel
from tests.grids import experiment, train

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from gdcli.experiment.grid import Trial


def trial(problem: str, **options: Any) -> Trial:
    named = {name.replace("_", "-"): str(value) for name, value in options.items()}
    return experiment(problem, named).grid.trials[0]


def found_of(one: Trial) -> Minimum | None:
    data = examples_of(one)
    assert isinstance(one.problem, LinearModel)
    return minimize(one.problem, data.train["x"], data.train["y"])


def minimum(problem: str, **options: Any) -> Minimum:
    found = found_of(trial(problem, **options))
    assert found is not None
    return found


def loss(one: Trial, weights: np.ndarray) -> tuple[float, float]:
    """Return the loss of a trial's problem at some weights, and the size of its gradient."""
    data = examples_of(one)
    batch = {name: torch.from_numpy(array) for name, array in data.train.items()}
    held = torch.from_numpy(weights).requires_grad_()
    value = one.problem.loss({"weight": held[:-1], "bias": held[-1]}, batch)
    (gradient,) = torch.autograd.grad(value, held)
    return value.item(), gradient.norm().item()


@pytest.mark.parametrize(
    ("problem", "options", "least"),
    [
        # By SciPy, with an independent implementation of the losses.
        ("logistic-regression", {}, 0.0588493598367109),
        ("softmax-regression", {"dataset": "wine"}, 0.0257749529779604),
    ],
)
def test_known_figures_come_out(problem: str, options: dict[str, Any], least: float) -> None:
    found = minimum(problem, **options)
    assert found.attained
    assert found.loss == pytest.approx(least, rel=1e-14)


CASES: list[tuple[str, dict[str, Any]]] = [
    ("logistic-regression", {}),
    ("logistic-regression", {"l2": 1e-7}),
    ("logistic-regression", {"scale": "none"}),
    ("softmax-regression", {"dataset": "iris"}),
    ("softmax-regression", {"dataset": "wine", "scale": "none"}),
    ("softmax-regression", {"dataset": "digits", "l2": 1e-2}),
    ("huber", {}),
    ("huber", {"delta": 5, "l2": 0.1}),
    ("huber", {"dataset": "synthetic", "delta": 0.05}),
    ("poisson-regression", {}),
    ("poisson-regression", {"features": 30, "examples": 200, "l2": 0.01}),
    ("svm", {"hinge": "squared"}),
    ("svm", {"hinge": "squared", "l2": 1e-5}),
]


@pytest.mark.parametrize(("problem", "options"), CASES)
def test_at_the_minimum_the_gradient_vanishes(problem: str, options: dict[str, Any]) -> None:
    one = trial(problem, **options)
    found = found_of(one)
    assert found is not None
    assert found.attained
    at_minimum, slope = loss(one, found.weights)
    at_zero, start = loss(one, 0.01 + 0 * found.weights)
    assert at_minimum == pytest.approx(found.loss, rel=1e-12, abs=1e-14)
    assert found.loss < at_zero
    assert slope < 1e-7 * start
    # The loss is convex: around its minimum it is no lower.
    rng = np.random.default_rng(0)
    for size in (1e-6, 1e-3, 1.0):
        way = size * rng.standard_normal(found.weights.shape)
        assert loss(one, found.weights + way)[0] >= found.loss * (1 - 1e-13)


@pytest.mark.parametrize("delta", [5.0, 50.0, 500.0])
def test_hubers_least_loss_is_scipys(delta: float) -> None:
    one = trial("huber", delta=delta)
    data = examples_of(one)
    x, y = np.c_[data.train["x"], np.ones(data.examples)], data.train["y"][:, 0]

    def both(weights: np.ndarray) -> tuple[float, np.ndarray]:
        residual = x @ weights - y
        inner = np.clip(residual, -delta, delta)
        return float((inner * (residual - inner / 2)).mean()), x.T @ inner / len(x)

    options = {"maxiter": 10_000, "ftol": 0, "gtol": 1e-12}
    lowest = scipy_minimize(
        both, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B", options=options
    )
    found = minimum("huber", delta=delta)
    assert found.loss == pytest.approx(lowest.fun, rel=1e-10)
    assert found.loss <= lowest.fun * (1 + 1e-14)


@pytest.mark.parametrize("l2", [0.1, 1e-3])
def test_the_likelihoods_are_scikit_learns(l2: float) -> None:
    one = trial("softmax-regression", dataset="iris", l2=l2)
    data = examples_of(one)
    x, y = data.train["x"], data.train["y"]
    cost = 1 / (l2 * len(x))
    model = LogisticRegression(C=cost, tol=1e-10, max_iter=10_000, solver="newton-cg")
    model.fit(x, y.argmax(1))
    known = loss(one, np.c_[model.coef_, model.intercept_].T)[0]
    found = minimum("softmax-regression", dataset="iris", l2=l2)
    assert found.loss == pytest.approx(known, rel=1e-9)
    one = trial("poisson-regression", l2=l2)
    data = examples_of(one)
    poisson = PoissonRegressor(alpha=l2, tol=1e-12, max_iter=1000)
    poisson.fit(data.train["x"], data.train["y"][:, 0])
    known = loss(one, np.r_[poisson.coef_, poisson.intercept_][:, None])[0]
    assert minimum("poisson-regression", l2=l2).loss == pytest.approx(known, rel=1e-9)


@pytest.mark.parametrize(("problem", "lr"), [("logistic-regression", "1"), ("huber", "0.3")])
def test_descent_never_gets_below_it_and_close_to_it(problem: str, lr: str) -> None:
    (run,) = train(problem, {}, lr=lr, epochs="4000", optimizer="nesterov").values()
    least = minimum(problem).loss
    assert (run.losses >= least * (1 - 1e-14)).all()
    assert run.losses[-1] == pytest.approx(least, rel=1e-3)


@pytest.mark.parametrize("delta", [1e-3, 1e3])
def test_more_features_than_examples_leave_nothing(delta: float) -> None:
    found = minimum("huber", dataset="synthetic", examples=20, features=30, delta=delta)
    assert found.attained
    assert found.loss == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize(
    ("problem", "options"),
    [
        ("logistic-regression", {"l2": 0}),
        ("logistic-regression", {"l2": 0, "scale": "none"}),
        ("softmax-regression", {"l2": 0}),
    ],
)
def test_of_separable_classes_0_is_a_bound_and_no_minimum(
    problem: str, options: dict[str, Any]
) -> None:
    found = minimum(problem, **options)
    assert (found.loss, found.attained) == (0.0, False)


def test_a_squared_hinge_reaches_0_where_classes_are_separable() -> None:
    found = minimum("svm", hinge="squared", l2=0)
    assert (found.loss, found.attained) == (0.0, True)


def write(folder: Path, rows: Sequence[tuple[float, ...]]) -> dict[str, Any]:
    file = folder / "made.csv"
    lines = [",".join(map(repr, row)) for row in rows]
    file.write_text("\n".join(["a,b,y", *lines]) + "\n")
    return {"data": file, "target": "y", "test_fraction": 0, "scale": "none"}


@pytest.mark.parametrize("problem", ["logistic-regression", "softmax-regression"])
def test_where_only_some_examples_are_separable_nothing_is_claimed(
    tmp_path: Path, problem: str
) -> None:
    # The plane b = 1 / 2 has class 1 alone above it; below it the classes are mixed.
    mixed = [(float(k % 5), 0.0, k % 2) for k in range(20)]
    certain = [(float(k), 1.0, 1) for k in range(5)]
    given = write(tmp_path, [*mixed, *certain])
    assert found_of(trial(problem, l2=0, **given)) is None
    # With a penalty there is a minimum again.
    found = found_of(trial(problem, l2=0.01, **given))
    assert found is not None
    assert found.attained


def test_a_class_without_a_training_example_leaves_no_minimum() -> None:
    """Its bias, which has no penalty, falls for ever."""
    problem = trial("softmax-regression").problem
    assert isinstance(problem, LinearModel)
    x = np.random.default_rng(0).standard_normal((30, 2))
    y = np.eye(3)[np.arange(30) % 2]
    assert minimize(problem, x, y) is None


def test_counts_of_0_leave_no_minimum() -> None:
    problem = trial("poisson-regression").problem
    assert isinstance(problem, LinearModel)
    assert minimize(problem, np.arange(5.0)[:, None], np.zeros((5, 1))) is None


@pytest.mark.parametrize("problem", ["logistic-regression", "poisson-regression", "huber"])
def test_features_in_any_unit_are_as_good(tmp_path: Path, problem: str) -> None:
    rng = np.random.default_rng(1)
    x = rng.standard_normal((60, 2))
    y = rng.integers(0, 2, 60)
    plain = write(tmp_path, [(a, b, int(c)) for (a, b), c in zip(x.tolist(), y, strict=True)])
    options = {"l2": 0, **({"delta": 0.3} if problem == "huber" else {})}
    expected = minimum(problem, **options, **plain)
    rows = [(1e-9 * a, 1e7 + 1e5 * b, int(c)) for (a, b), c in zip(x.tolist(), y, strict=True)]
    found = found_of(trial(problem, **options, **write(tmp_path, rows)))
    assert found is not None
    assert found.loss == pytest.approx(expected.loss, rel=1e-9)


def test_collinear_features_have_a_minimum(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal(60), rng.integers(0, 2, 60)
    twice = [(a, 3 * a, int(c)) for a, c in zip(x.tolist(), y, strict=True)]
    once = [(a, 0.0, int(c)) for a, c in zip(x.tolist(), y, strict=True)]
    pair = [minimum("logistic-regression", l2=0, **write(tmp_path, r)) for r in (twice, once)]
    assert pair[0].loss == pytest.approx(pair[1].loss, rel=1e-12)


@dataclass(frozen=True)
class Quartic(LinearModel):
    """A cost whose second derivative is 0 at its minimum."""

    @property
    def convex(self) -> bool:
        return True

    def cost(self, z: Array, y: Array) -> Array:
        return (z - y) ** 4

    def slope(self, z: Array, y: Array) -> Array:
        return 4 * (z - y) ** 3

    def bending(self, z: Array, y: Array, along: Array) -> Array:
        return 12 * (z - y) ** 2 * along


def test_where_it_does_not_converge_nothing_is_claimed() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((9, 2))
    found = minimize(Quartic(), x, x @ [[1.0], [2.0]])
    assert found is None or found.loss < 1e-12
    noisy = minimize(Quartic(), x, rng.standard_normal((9, 1)))
    assert noisy is not None
    assert noisy.attained


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e200])
def test_features_that_overflow_have_none(bad: float) -> None:
    problem = trial("logistic-regression").problem
    assert isinstance(problem, LinearModel)
    x = np.array([[1.0], [bad], [-bad], [2.0]])
    assert minimize(problem, x, np.array([[0.0], [1.0], [0.0], [1.0]])) is None


def test_what_would_take_too_long_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    one = trial("logistic-regression")
    monkeypatch.setattr(newton, "WORK", 5e6)
    assert found_of(one) is None  # on the way
    monkeypatch.setattr(newton, "WORK", 1e5)
    assert found_of(one) is None  # at once


@pytest.mark.parametrize("problem", ["svm", "linear-regression"])
def test_costs_with_a_kink_and_those_with_a_closed_form_are_left_out(problem: str) -> None:
    assert found_of(trial(problem)) is None
