"""The least loss of bowls and least squares, against closed forms and scikit-learn.

Those that Newton's method finds are in test_newton.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from gdcli.engine.examples import examples_of
from gdcli.engine.families.family import family_of, greatest_bound_of, least_loss_of
from gdcli.problem import Least
from tests.grids import experiment

if TYPE_CHECKING:
    from pathlib import Path

    from gdcli.experiment.grid import Trial


def trial(problem: str, **options: Any) -> Trial:
    named = {name: str(value) for name, value in options.items()}
    return experiment(problem, named).grid.trials[0]


@pytest.mark.parametrize("l2", [0.0, 0.3])
@pytest.mark.parametrize("dataset", ["diabetes", "synthetic"])
def test_least_squares_has_that_of_its_solution(l2: float, dataset: str) -> None:
    one = trial("linear-regression", l2=l2, dataset=dataset)
    data = examples_of(one)
    x, y = data.train["x"], data.train["y"]
    solver = Ridge(alpha=l2 * len(x), tol=1e-12).fit(x, y[:, 0])
    residual = solver.predict(x) - y[:, 0]
    lowest = 0.5 * (residual**2).mean() + 0.5 * l2 * (solver.coef_**2).sum()
    assert least_loss_of(one) == pytest.approx(lowest, rel=1e-10)


@pytest.mark.parametrize("rotate", ["false", "true"])
def test_a_noisy_bowl_has_its_examples_spread(rotate: str) -> None:
    one = trial("quadratic", noise=0.5, dim=4, condition=20, rotate=rotate)
    data = examples_of(one)
    curvature, x = data.constants["eigenvalues"], data.train["x"]
    along = x @ data.constants["axes"].T if rotate == "true" else x
    lowest = 0.5 * (curvature * along.var(0)).sum()
    assert least_loss_of(one) == pytest.approx(lowest, rel=1e-12)


def test_a_known_minimum_is_the_problems_own() -> None:
    assert least_loss_of(trial("rosenbrock")) == 0.0
    assert least_loss_of(trial("quadratic")) == 0.0


@pytest.mark.parametrize("problem", ["logistic-regression", "softmax-regression", "mlp"])
def test_others_have_no_closed_form(problem: str) -> None:
    assert least_loss_of(trial(problem)) is None


def test_a_bound_is_of_closed_form_or_found_or_not_known() -> None:
    bowl = greatest_bound_of(trial("quadratic"))
    assert bowl == Least(0.0, attained=True)
    found = greatest_bound_of(trial("logistic-regression"))
    assert found is not None
    assert found.attained
    assert found.loss == pytest.approx(0.0588493598367109)
    separable = greatest_bound_of(trial("logistic-regression", l2=0))
    assert separable == Least(0.0, attained=False)
    for problem in ("mlp", "svm", "rastrigin", "matrix-factorization"):
        other = trial(problem)
        known = other.problem.minimum
        assert greatest_bound_of(other) == (None if known is None else Least(known, attained=True))


def test_features_that_overflow_have_none(tmp_path: Path) -> None:
    file = tmp_path / "huge.csv"
    file.write_text("x,y\n1e200,1\n-2e200,2\n3e200,0\n")
    one = trial("linear-regression", data=file, target="y", scale="none", test_fraction=0)
    assert least_loss_of(one) is None


def test_a_solver_that_does_not_converge_claims_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise np.linalg.LinAlgError

    one = trial("linear-regression")
    monkeypatch.setattr(np.linalg, "lstsq", fails)
    assert family_of(one.problem).theory.least_loss(one.problem, examples_of(one)) is None
