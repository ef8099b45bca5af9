"""Linear models against scikit-learn and SciPy: the same losses, and the same minimisers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import huber
from sklearn.linear_model import HuberRegressor, LogisticRegression, PoissonRegressor
from sklearn.metrics import mean_poisson_deviance
from sklearn.svm import SVC, LinearSVC

from gdcli.engine.examples import examples_of
from gdcli.errors import UserError
from gdcli.problems.huber import Huber
from gdcli.problems.linear_regression import LinearRegression
from gdcli.problems.poisson_regression import PoissonRegression
from gdcli.problems.svm import Svm
from tests.grids import only, train

if TYPE_CHECKING:
    from pathlib import Path

    from gdcli.problem import Array, Data, LinearModel


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def value_and_slope(model: LinearModel, data: Data, flat: Array) -> tuple[float, Array]:
    """Return the loss and its gradient at weights and a bias in one array."""
    x, y = data.train["x"], data.train["y"]
    weight, bias = flat[:-1, None], flat[-1:]
    slope = model.slope((x @ weight + bias)[..., None], y[..., None])[..., 0] / len(x)
    gradient = np.append((x.T @ slope + model.l2 * weight)[:, 0], slope.sum())
    return float(model.loss({"weight": weight, "bias": bias}, data.train)), gradient


def minimiser(model: LinearModel, data: Data) -> Array:
    """Return weights and bias, by SciPy's L-BFGS from the model's own value and slope."""
    start = np.zeros(data.train["x"].shape[1] + 1)
    options = {"maxiter": 20_000, "maxfun": 50_000, "ftol": 1e-15, "gtol": 1e-9}
    found = minimize(
        lambda flat: value_and_slope(model, data, flat),
        start,
        jac=True,
        method="L-BFGS-B",
        options=options,
    )
    weights: Array = found.x
    return weights


def test_poisson_regression_is_scikit_learns() -> None:
    model = PoissonRegression(l2=0.1)
    data = model.load(rng())
    oracle = PoissonRegressor(alpha=0.1, tol=1e-8, max_iter=1000)
    oracle.fit(data.train["x"], data.train["y"][:, 0])
    found = minimiser(model, data)
    np.testing.assert_allclose(found[:-1], oracle.coef_, atol=1e-5)
    assert found[-1] == pytest.approx(oracle.intercept_, abs=1e-5)


def test_the_cost_of_a_count_is_half_its_deviance_but_for_a_constant() -> None:
    y = rng().poisson(3.0, 50)[:, None, None].astype(float)
    one, other = (rng().normal(size=(50, 1, 1)), rng().normal(size=(50, 1, 1)) + 0.3)
    difference = (PoissonRegression().cost(one, y) - PoissonRegression().cost(other, y)).mean()
    deviances = [mean_poisson_deviance(y.ravel(), np.exp(z).ravel()) for z in (one, other)]
    assert difference == pytest.approx(0.5 * (deviances[0] - deviances[1]), rel=1e-10)


def test_counts_begin_at_0(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("a,y\n1,2\n2,-3\n3,1\n")
    with pytest.raises(UserError) as caught:
        PoissonRegression(data=tmp_path / "c.csv", target="y").load(rng())
    assert str(caught.value) == (
        "--target: column 'y' holds -3, but counts are at least 0; "
        "choose a column of counts, or run linear-regression"
    )


def test_the_huber_cost_is_scipys() -> None:
    model = Huber(delta=1.5)
    residual = np.linspace(-4, 4, 81)
    z, y = (residual + 7)[:, None, None], np.full((81, 1, 1), 7.0)
    np.testing.assert_allclose(model.cost(z, y).ravel(), huber(1.5, residual), atol=1e-14)


def test_huber_has_scikit_learns_minimiser() -> None:
    """Where HuberRegressor finds the scale sigma, delta is epsilon sigma."""
    data = Huber().load(rng())
    oracle = HuberRegressor(epsilon=1.35, alpha=0.0, max_iter=5000, tol=1e-10)
    oracle.fit(data.train["x"], data.train["y"][:, 0])
    found = minimiser(Huber(delta=1.35 * oracle.scale_), data)
    np.testing.assert_allclose(found[:-1], oracle.coef_, atol=0.05)
    assert found[-1] == pytest.approx(oracle.intercept_, abs=0.05)


def test_an_outlier_pulls_huber_less_than_least_squares() -> None:
    data = Huber(dataset="synthetic", features=1, test_fraction=0).load(rng())
    data.train["y"][:20] += 1000.0
    plain, robust = (minimiser(model, data)[-1] for model in (LinearRegression(), Huber(delta=1)))
    assert plain > 15
    assert abs(robust) < 0.1


def test_huber_becomes_least_squares() -> None:
    z, y = rng().normal(size=(9, 1, 4)), rng().normal(size=(9, 1, 1))
    wide, plain = Huber(delta=1e9), LinearRegression()
    np.testing.assert_allclose(wide.cost(z, y), plain.cost(z, y), rtol=1e-14)
    np.testing.assert_array_equal(wide.slope(z, y), plain.slope(z, y))


@pytest.mark.parametrize("hinge", ["plain", "squared"])
def test_the_svm_has_scikit_learns_minimum(hinge: Any) -> None:
    trained = only(train("svm", {"hinge": hinge}, epochs="3000", lr="0.05"))
    model, data = Svm(hinge=hinge), examples_of(trained.trial)
    x, y = data.train["x"], data.train["y"][:, 0]
    cost = 1 / (model.l2 * len(x))
    # LinearSVC has a penalty on the bias, too: its feature is made so large that it is free.
    oracle = {
        "plain": SVC(kernel="linear", C=cost, tol=1e-9),
        "squared": LinearSVC(C=cost, intercept_scaling=1e3, tol=1e-8, max_iter=500_000),
    }[hinge].fit(x, y)
    flat = np.append(oracle.coef_[0], oracle.intercept_[0])
    least, slope = value_and_slope(model, data, flat)
    if hinge == "squared":
        np.testing.assert_allclose(slope, 0, atol=2e-4)
    directions = rng().standard_normal((200, len(flat)))
    for move in np.concatenate([0.01 * directions, 0.3 * directions, [-flat]]):
        assert value_and_slope(model, data, flat + move)[0] > least - 1e-6
    assert trained.losses.min() == pytest.approx(least, rel=0.05)


def test_at_its_kink_the_hinge_has_the_slope_0() -> None:
    z, y = np.array([[[1.0]], [[-1.0]], [[0.999]]]), np.array([[[1.0]], [[0.0]], [[1.0]]])
    assert Svm().slope(z, y).ravel().tolist() == [0, 0, -1]
    assert Svm().cost(z, y).ravel() == pytest.approx([0, 0, 0.001])


def test_the_svm_tells_classes_apart_as_well_as_logistic_regression_does() -> None:
    data = Svm().load(rng())
    x, y = data.train["x"], data.train["y"][:, 0]
    score = LogisticRegression(C=0.1).fit(x, y).score(data.test["x"], data.test["y"][:, 0])
    run = only(train("svm", epochs="300"))
    assert run.values["test_accuracy"][-1] > score - 0.05
