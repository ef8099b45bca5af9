"""The curvatures of convex problems, against Hessians by autograd and by differences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from gdcli.engine.examples import examples_of
from gdcli.engine.families.family import family_of
from tests.grids import experiment, only, train

if TYPE_CHECKING:
    from gdcli.engine.families.known import Curvature
    from gdcli.experiment.grid import Trial


def trial(problem: str, **options: Any) -> Trial:
    return experiment(problem, {name: str(value) for name, value in options.items()}).grid.trials[0]


def curvature(problem: str, **options: Any) -> Curvature | None:
    one = trial(problem, **options)
    return family_of(one.problem).theory.curvature(one.problem, examples_of(one))


def hessian_ends(one: Trial, weight: float) -> np.ndarray:
    """Return the ends of the eigenvalues of the Hessian, by autograd, at a point."""
    data = examples_of(one)
    batch = {name: torch.from_numpy(array) for name, array in data.train.items()}
    features, outputs = batch["x"].shape[1], batch["y"].shape[1]
    rng = np.random.default_rng(0)
    flat = torch.from_numpy(weight * rng.standard_normal((features + 1) * outputs))

    def loss(params: torch.Tensor) -> torch.Tensor:
        matrix = params.view(features + 1, outputs)
        held = one.problem.loss({"weight": matrix[:-1], "bias": matrix[-1]}, batch)
        assert isinstance(held, torch.Tensor)
        return held

    hessian = torch.func.jacrev(torch.func.grad(loss))(flat).numpy()
    ends: np.ndarray = np.linalg.eigvalsh(hessian)[[0, -1]]
    return ends


@pytest.mark.parametrize("options", [{}, {"noise": 0.3}, {"rotate": "true"}, {"dim": 5}])
def test_a_bowl_has_its_own(options: dict[str, Any]) -> None:
    found = curvature("quadratic", condition=50, **options)
    assert found is not None
    assert (found.smallest, found.largest) == pytest.approx((1, 50))
    assert found.exact
    assert found.every_batch


def test_the_published_bowl_has_the_published_one() -> None:
    found = curvature("quadratic", instance="deepobs")
    assert found is not None
    assert found.largest == pytest.approx(53.12901540, abs=1e-8)
    assert found.smallest == pytest.approx(0.00552212, abs=1e-8)


@pytest.mark.parametrize("l2", [0.0, 0.5])
def test_least_squares_has_that_of_its_hessian(l2: float) -> None:
    found = curvature("linear-regression", l2=l2)
    assert found is not None
    ends = hessian_ends(trial("linear-regression", l2=l2), 1.0)
    assert (found.smallest, found.largest) == pytest.approx(tuple(ends), rel=1e-9)
    assert (found.exact, found.every_batch) == (True, False)


@pytest.mark.parametrize(
    ("problem", "options"),
    [("logistic-regression", {}), ("softmax-regression", {"dataset": "iris"})],
)
def test_classifiers_are_bounded(problem: str, options: dict[str, Any]) -> None:
    found = curvature(problem, **options)
    assert found is not None
    assert not found.exact
    one = trial(problem, **options)
    for weight in (0.0, 0.1, 1.0):
        smallest, largest = hessian_ends(one, weight)
        assert smallest >= found.smallest - 1e-12
        assert largest <= found.largest
    # Close to 0 the logistic bound is attained; at 0 autograd takes the kink of |z| for flat.
    if problem == "logistic-regression":
        assert hessian_ends(one, 1e-6)[1] == pytest.approx(found.largest, rel=1e-9)


@pytest.mark.parametrize("problem", ["rosenbrock", "mlp", "matrix-factorization"])
def test_nothing_is_claimed_of_others(problem: str) -> None:
    assert curvature(problem) is None


def test_features_whose_squares_overflow_have_none(tmp_path: Any) -> None:
    file = tmp_path / "huge.csv"
    file.write_text("x,y\n1e200,1\n-2e200,2\n3e200,0\n")
    options = {"data": file, "target": "y", "scale": "none", "test-fraction": 0}
    assert curvature("linear-regression", **options) is None


def collinear(tmp_path: Any, noise: float) -> dict[str, Any]:
    """Return the options of a file with a feature that is the sum of two others, but for noise."""
    rng = np.random.default_rng(0)
    a, b, c = rng.standard_normal((3, 30))
    table = np.c_[a, b, a + b + noise * c, a - 2 * b + c]
    file = tmp_path / f"{noise}.csv"
    np.savetxt(file, table, header="a,b,s,y", comments="", delimiter=",", fmt="%.17g")
    return {"data": file, "target": "y", "test-fraction": 0, "scale": "none"}


def test_collinear_features_have_a_smallest_curvature_above_0(tmp_path: Any) -> None:
    given = collinear(tmp_path, 0.0)
    found = curvature("linear-regression", **given)
    assert found is not None
    data = examples_of(trial("linear-regression", **given))
    x = np.c_[data.train["x"], np.ones(data.examples)]
    values = np.linalg.eigvalsh(x.T @ x / len(x))
    assert abs(values[0]) < 1e-14
    assert found.smallest_positive == pytest.approx(values[1], rel=1e-9)
    penalised = curvature("linear-regression", l2=0.5, **given)
    assert penalised is not None
    assert penalised.smallest_positive == penalised.smallest > 0.1


def test_features_that_are_all_but_collinear_are_not_taken_for_it(tmp_path: Any) -> None:
    small = curvature("linear-regression", **collinear(tmp_path, 1e-5))
    assert small is not None
    assert small.smallest_positive == small.smallest > 0
    # So close to it, X'X cannot tell, and the singular values leave it in doubt.
    doubtful = curvature("linear-regression", **collinear(tmp_path, 1e-8))
    assert doubtful is not None
    assert doubtful.smallest_positive is None


def test_descent_on_collinear_features_has_the_rate_of_what_is_above_0(tmp_path: Any) -> None:
    given = {name: str(value) for name, value in collinear(tmp_path, 0.0).items()}
    found = curvature("linear-regression", **given)
    assert found is not None
    assert found.smallest_positive is not None
    run = only(train("linear-regression", given, lr="0.2", epochs="200"))
    norms = run.values["grad_norm"]
    factor = (norms[150] / norms[100]) ** (1 / 50)
    assert factor == pytest.approx(1 - 0.2 * found.smallest_positive, rel=1e-6)


@pytest.mark.parametrize("l2", [0.0, 0.1])
def test_elsewhere_it_is_the_smallest(l2: float) -> None:
    found = curvature("linear-regression", l2=l2)
    assert found is not None
    assert found.smallest_positive == found.smallest > 0
    bounded = curvature("logistic-regression", l2=l2)
    assert bounded is not None
    assert bounded.smallest_positive is None
