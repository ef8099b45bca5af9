"""The noise of single examples' gradients, against autograd, example by example."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from gdcli.engine.examples import examples_of
from gdcli.engine.gradient_noise import noise_of
from gdcli.grid import Trial
from gdcli.problem import Batch
from tests.grids import experiment


def trial(problem: str, **options: Any) -> Trial:
    named = {name: str(value) for name, value in options.items()}
    return experiment(problem, named).grid.trials[0]


def gradients(one: Trial, params: dict[str, np.ndarray]) -> np.ndarray:
    """Return the gradient of each example at a point, flat, by autograd."""
    data = examples_of(one)
    held = {name: torch.from_numpy(np.asarray(value)) for name, value in params.items()}
    rest = {name: torch.from_numpy(value) for name, value in data.constants.items()}

    def of(batch: Batch) -> Any:
        batch = {name: array[None] for name, array in batch.items()} | rest
        return torch.func.grad(one.problem.loss)(held, batch)

    examples = [torch.from_numpy(array) for array in data.train.values()]
    rows = [
        torch.cat([g.flatten() for g in of(dict(zip(data.train, each, strict=True))).values()])
        for each in zip(*examples, strict=True)
    ]
    stacked: np.ndarray = torch.stack(rows).numpy()
    return stacked


@pytest.mark.parametrize("rotate", ["false", "true"])
def test_a_bowls_noise_is_that_along_its_axes(rotate: str) -> None:
    one = trial("quadratic", noise=0.5, dim=3, condition=20, examples=50, rotate=rotate)
    found = noise_of(one.problem, examples_of(one))
    assert found is not None
    assert found.exact
    constants = examples_of(one).constants
    axes = constants.get("axes", np.eye(3))
    each = gradients(one, {"point": np.zeros(3)}) @ axes.T
    np.testing.assert_allclose(found.variances, each.var(0), rtol=1e-10)
    np.testing.assert_allclose(found.curvatures, constants["eigenvalues"])


def test_the_noise_of_least_squares_is_all_that_is_left_at_the_solution() -> None:
    one = trial("linear-regression", dataset="synthetic", examples=60, features=3, l2=0.2)
    data = examples_of(one)
    x = np.c_[data.train["x"], np.ones(len(data.train["x"]))]
    penalty = np.diag([0.2, 0.2, 0.2, 0.0])
    solution = np.linalg.solve(x.T @ x / len(x) + penalty, x.T @ data.train["y"] / len(x))
    each = gradients(one, {"weight": solution[:-1], "bias": solution[-1]})
    found = noise_of(one.problem, data)
    assert found is not None
    assert (found.curvatures, found.exact) == ((0.0,), False)
    assert found.variances == pytest.approx([each.var(0).sum()])


@pytest.mark.parametrize("problem", ["quadratic", "rosenbrock", "logistic-regression", "mlp"])
def test_without_examples_or_a_closed_form_nothing_is_claimed(problem: str) -> None:
    one = trial(problem)
    assert noise_of(one.problem, examples_of(one)) is None


def test_a_bowl_of_very_many_dimensions_is_left_out() -> None:
    one = trial("quadratic", noise=1, dim=10_001, examples=1)
    assert noise_of(one.problem, examples_of(one)) is None
