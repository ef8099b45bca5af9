"""The measured sharpness against dense Hessians, closed forms, and itself in other company."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch

from gdcli.catalog.catalog import PROBLEMS
from gdcli.engine.device import NumPy, Torch
from gdcli.engine.examples import examples_of
from gdcli.engine.families.family import family_of, starting_point
from gdcli.engine.families.objective import tensors
from gdcli.engine.hessian import largest_eigenvalue
from gdcli.engine.programs.program import derivative_along
from gdcli.errors import RunError
from gdcli.experiment.experiment import Experiment
from gdcli.experiment.grid import Axes, Grid, Trial
from gdcli.problem import Analytic, Array, Batch, Data, LinearModel, Params, Problem
from tests.engine.test_contract import NOISY, SMALL, methods, same
from tests.grids import TRAINABLE, experiment, only, train, train_experiment

TINY: dict[str, dict[str, Any]] = {
    **SMALL,
    "cnn": {"examples": "30", "channels": "2,3", "l2": "0.01"},
    "mlp": {"dataset": "iris", "hidden": "5", "l2": "0.01"},
    "softmax-regression": {"dataset": "iris"},
    "matrix-factorization": {"rows": "6", "columns": "5", "density": "0.9", "l2": "0.01"},
}

LINEAR_MODELS = [n for n in PROBLEMS.names() if issubclass(PROBLEMS.find(n, ""), LinearModel)]


def dense(trial: Trial) -> float:
    """Return the largest eigenvalue of the whole Hessian at a trial's start, in float64."""
    data, device = examples_of(trial), Torch("float64")
    objective = family_of(trial.problem).objective(trial.problem, data, device, 0)
    start = tensors(starting_point(trial.problem, data, trial.seed), device)
    sizes = [value.numel() for value in start.values()]

    def loss(vector: torch.Tensor) -> Any:
        parts = zip(start.items(), torch.split(vector, sizes), strict=True)
        return objective.loss({n: p.view_as(v) for (n, v), p in parts}, objective.train)

    vector = torch.cat([value.flatten() for value in start.values()])
    hessian: Any = torch.autograd.functional.hessian(loss, vector)  # type: ignore[no-untyped-call]
    return float(np.linalg.eigvalsh(hessian.numpy())[-1])


def at_the_start(problem: str, options: dict[str, Any], **grid: Any) -> float:
    """Return the measured sharpness of the only trial of a grid, before its first step."""
    run = only(train(problem, options, steps="1", measure="sharpness", **grid))
    return float(run.values["sharpness"][0])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("problem", TRAINABLE)
def test_sharpness_is_the_largest_eigenvalue_of_the_dense_hessian(problem: str, dtype: str) -> None:
    options = NOISY.get(problem, TINY.get(problem, {}))
    trial = experiment(problem, options).grid.trials[0]
    # A difference of two gradients has three digits in float32, and ten in float64.
    close = 1e-3 if dtype == "float32" and isinstance(trial.problem, Analytic) else 1e-4
    assert at_the_start(problem, options, dtype=dtype) == pytest.approx(dense(trial), rel=close)


@pytest.mark.parametrize("problem", TRAINABLE)
def test_the_reference_engine_measures_the_same(problem: str) -> None:
    options = NOISY.get(problem, TINY.get(problem, {}))
    fast, plain = (at_the_start(problem, options, engine=e) for e in ("auto", "reference"))
    assert fast == pytest.approx(plain, rel=1e-4)


@pytest.mark.parametrize("problem", TRAINABLE)
def test_sharpness_in_a_grid_is_that_of_the_trial_alone(problem: str) -> None:
    options = NOISY.get(problem, SMALL.get(problem, {}))
    common = {"batch_size": "7", "steps": "6", "method": methods(problem), "measure": "sharpness"}
    # 1e30 diverges at once: neighbours must not notice.
    together = train(problem, options, lr="0.001,1e30,0.01,0.003", seed="0:2", **common)
    for lr, seed in (("0.01", "1"), ("0.003", "2")):
        for key, run in train(problem, options, lr=lr, seed=seed, **common).items():
            assert same(run, together[key]), run.trial


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid", "gelu"])
def test_no_activation_lets_neighbours_change_the_sharpness(activation: str) -> None:
    options = {"dataset": "iris", "hidden": "7,5", "activation": activation}
    common = {"steps": "4", "record": "2", "measure": "sharpness", "method": "gd,minibatch"}
    together = train("mlp", options, lr="0.01,0.1,1", seed="0:2", **common)
    for lr, seed in product(("0.01", "1"), "02"):
        for key, run in train("mlp", options, lr=lr, seed=seed, **common).items():
            assert same(run, together[key]), run.trial


def test_the_sharpness_of_a_bowl_and_of_least_squares_is_exact() -> None:
    bowl = {"dim": "40", "condition": "321.5", "rotate": "true"}
    for optimizer in ("vanilla", "adam"):  # in turned axes, and in those of the bowl
        run = only(train("quadratic", bowl, steps="3", measure="sharpness", optimizer=optimizer))
        assert run.values["sharpness"].tolist() == [321.5] * 4
    run = only(train("linear-regression", {"l2": "0.5"}, steps="3", measure="sharpness"))
    x = examples_of(run.trial).train["x"]
    x = np.hstack([x, np.ones((len(x), 1))])
    hessian = x.T @ x / len(x) + np.diag([0.5] * (x.shape[1] - 1) + [0.0])
    np.testing.assert_allclose(run.values["sharpness"], np.linalg.eigvalsh(hessian)[-1], rtol=1e-12)


def test_the_sharpness_of_logistic_regression_is_that_of_its_closed_form() -> None:
    options = {"l2": "0.3", "init_scale": "0"}
    run = only(train("logistic-regression", options, steps="1", lr="0.4", measure="sharpness"))
    data = examples_of(run.trial).train
    x, y = np.hstack([data["x"], np.ones((len(data["x"]), 1))]), data["y"][:, 0]
    weight = -0.4 * x.T @ (0.5 - y) / len(x)  # after a step from 0, where all p are 1/2
    for point, found in zip((0 * weight, weight), run.values["sharpness"], strict=True):
        p = 1 / (1 + np.exp(-x @ point))
        hessian = (x.T * (p * (1 - p))) @ x / len(x) + np.diag([0.3] * (x.shape[1] - 1) + [0.0])
        assert found == pytest.approx(np.linalg.eigvalsh(hessian)[-1], rel=1e-9)


@pytest.mark.parametrize("problem", LINEAR_MODELS)
def test_the_bending_of_a_cost_is_the_derivative_of_its_slope(problem: str) -> None:
    model: LinearModel = experiment(problem).grid.trials[0].problem  # type: ignore[assignment]
    rng = np.random.default_rng(0)
    z, along = 3 * rng.standard_normal((2, 3, 50))
    y = np.eye(3)[rng.integers(3, size=50)].T
    exact = model.bending(z, y, along)
    assert exact is not None
    numeric = derivative_along(lambda moved: model.slope(moved, y), z, along)
    np.testing.assert_allclose(exact, numeric, rtol=1e-7, atol=1e-9)


@dataclass(frozen=True)
class Huber(LinearModel):
    """A cost of which nobody says how it bends: squared near 0, linear beyond 1."""

    def load(self, rng: np.random.Generator) -> Data:
        """Return a line with a few targets far off."""
        x = rng.standard_normal((60, 4))
        y = x @ rng.standard_normal((4, 1)) + 0.1 * rng.standard_normal((60, 1))
        return Data({"x": x, "y": y + 5.0 * (rng.uniform(size=(60, 1)) > 0.8)})

    def cost(self, z: Array, y: Array) -> Array:
        """Return the smaller of both."""
        gap = abs(z - y)
        return 0.5 * gap * gap - 0.5 * (gap > 1) * (gap - 1) ** 2

    def slope(self, z: Array, y: Array) -> Array:
        """Return the gap, cut at 1."""
        gap = z - y
        return gap - (abs(gap) > 1) * (gap - (gap > 0) * 1.0 + (gap < 0) * 1.0)


def test_a_cost_without_its_bending_is_measured_by_differences() -> None:
    like = experiment("linear-regression", steps="3", measure="sharpness").grid
    own = Grid(Huber, {"l2": 0.1}, like.axes, {}, (), like.training)
    (trial,) = own.trials
    run = only(train_experiment(Experiment("huber", own)))
    assert run.values["sharpness"][0] == pytest.approx(dense(trial), rel=1e-7)


def test_a_trial_that_diverges_has_no_sharpness_where_its_loss_is_not_finite() -> None:
    options = {"dataset": "iris", "hidden": "5"}
    common = {"steps": "4", "record": "step", "measure": "sharpness", "lr": "0.1,1e30"}
    for engine in ("auto", "reference"):
        calm, wild = train("mlp", options, engine=engine, **common).values()
        assert np.isfinite(calm.values["sharpness"]).all()
        assert np.isfinite(wild.values["sharpness"][0])
        assert not np.isfinite(wild.losses[-1])
        assert np.isnan(wild.values["sharpness"][-1])


def test_measuring_changes_nothing_else() -> None:
    options, common = {"dataset": "iris", "hidden": "5"}, {"lr": "0.1,1", "epochs": "3"}
    plain, measured = (
        list(train("mlp", options, **common, **more).values())
        for more in ({}, {"measure": "sharpness"})
    )
    for a, b in zip(plain, measured, strict=True):
        assert set(b.values) - set(a.values) == {"sharpness"}
        assert all(a.values[name].tobytes() == b.values[name].tobytes() for name in a.values)


def test_full_batch_descent_trains_a_network_at_the_edge_of_stability() -> None:
    """Sharpness rises until lr x sharpness is 2, and stays around it (Cohen et al., ICLR 2021)."""
    options = {"dataset": "breast-cancer", "hidden": "20,20", "activation": "tanh"}
    common = {
        "lr": "0.1,0.8",
        "seed": "0:2",
        "epochs": "600",
        "record": "10",
        "measure": "sharpness",
    }
    for run in train("mlp", options, **common).values():
        found = run.trial.lr * run.values["sharpness"]
        if run.trial.lr == 0.1:
            assert found.max() < 1
        else:
            assert found[0] < 1.5
            assert 1.9 < np.median(found[-30:]) < 2.2


@pytest.mark.parametrize("size", [1, 3, 40, 200])
def test_lanczos_finds_the_largest_eigenvalue_of_many_matrices(size: int) -> None:
    rng = np.random.default_rng(size)
    matrices = rng.standard_normal((5, size, size))
    matrices = matrices + matrices.mT
    matrices[1] *= 0  # all directions are alike
    matrices[2] = -np.eye(size)  # the search ends after one product
    matrices[3] = np.nan
    wanted = np.array([True, True, True, True, False])
    start = rng.standard_normal((5, size))
    with np.errstate(all="ignore"):
        found = largest_eigenvalue(
            lambda v: (matrices @ v[..., None])[..., 0], start, wanted, NumPy("float64")
        )
    assert found[0] == pytest.approx(np.linalg.eigvalsh(matrices[0])[-1], rel=1e-6)
    assert found[1:3] == pytest.approx([0.0, -1.0])
    assert np.isnan(found[3:]).all()


@dataclass(frozen=True)
class Centres(Problem):
    """A loss that PyTorch differentiates once."""

    def load(self, rng: np.random.Generator) -> Data:
        """Return points."""
        return Data({"x": rng.standard_normal((20, 3))})

    def init(self, rng: np.random.Generator, data: Data) -> Params:
        """Return two centres."""
        return {"centres": rng.standard_normal((2, 3))}

    def loss(self, params: Params, batch: Batch) -> Array:
        """Return the mean distance."""
        return torch.cdist(batch["x"], params["centres"]).mean()


@pytest.mark.parametrize("engine", ["auto", "reference"])
def test_a_loss_without_a_second_derivative_is_refused_in_one_line(engine: str) -> None:
    training = experiment("saddle", steps="2", measure="sharpness").grid.training
    own = Experiment("centres", Grid(Centres, {}, Axes(), {}, (), training))
    line = "--measure: the loss of .* has no second derivative: .*; leave it out"
    with pytest.raises(RunError, match=line):
        train_experiment(own, engine=engine)
