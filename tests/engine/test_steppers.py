"""Fused steps against the plain path: the same losses, to rounding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gdcli.engine import batch
from gdcli.engine.programs.least_squares import LeastSquaresProgram
from gdcli.engine.steppers.stepwise import Stepwise
from tests.grids import train

CASES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("linear-regression", {}, {"method": "sgd", "lr": "0.0001,0.001,0.01,0.03"}),
    ("linear-regression", {}, {"method": "sgd", "lr": "0.001", "schedule": "cosine,step"}),
    ("linear-regression", {}, {"method": "minibatch", "lr": "0.001,0.1", "batch_size": "5,32"}),
    ("linear-regression", {"l2": "0.1"}, {"method": "sgd,minibatch", "lr": "0.001,0.01"}),
    ("linear-regression", {}, {"method": "sgd", "lr": "0.001", "record": "7", "steps": "100"}),
    ("logistic-regression", {}, {"method": "sgd,minibatch", "lr": "0.01,1"}),
    ("softmax-regression", {"dataset": "iris"}, {"method": "sgd,minibatch", "lr": "0.01,0.1"}),
    ("mlp", {"dataset": "wine", "l2": "0.01"}, {"method": "sgd,minibatch", "dtype": "float64"}),
    ("mlp", {"dataset": "iris", "hidden": "5,4", "activation": "tanh"}, {"dtype": "float64"}),
    ("cnn", {"examples": "40", "channels": "2,3"}, {"method": "minibatch", "dtype": "float64"}),
]


@pytest.mark.parametrize(("problem", "options", "grid"), CASES)
def test_fused_steps_agree_with_single_ones(
    problem: str, options: dict[str, Any], grid: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = {"seed": "0:1", "epochs": "3", "method": "minibatch"} | grid
    if "steps" in grid:
        del grid["epochs"]
    fused = train(problem, options, **grid)
    taken: list[type] = []

    def plain(*parts: Any) -> Stepwise:
        taken.append(Stepwise)
        return Stepwise(*parts)

    monkeypatch.setattr(batch, "stepper_for", plain)
    single = train(problem, options, **grid)
    assert taken
    for key, run in single.items():
        scale = np.maximum(run.losses, 1e-6 * run.losses[0])
        assert (np.abs(fused[key].losses - run.losses) <= 1e-10 * scale).all(), run.trial


def test_rates_near_the_edge_of_stability_keep_their_digits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A step on one example multiplies its residual by 1 - lr |x|^2; at 2 / |x|^2 it flips sign.
    options = {"dataset": "synthetic", "features": "5", "scale": "none", "test_fraction": "0"}
    grid = {"method": "sgd", "epochs": "2", "lr": "0.05,0.1,0.2,0.3"}
    fused = train("linear-regression", options, **grid)
    monkeypatch.setattr(batch, "stepper_for", Stepwise)
    single = train("linear-regression", options, **grid)
    for key, run in single.items():
        scale = np.maximum(run.losses, 1e-6 * run.losses[0])
        errors = np.abs(fused[key].losses - run.losses)[np.isfinite(scale)]
        assert (errors <= 1e-10 * scale[np.isfinite(scale)]).all(), run.trial
        assert fused[key].ended == run.ended


@pytest.mark.parametrize(
    "options",
    [{}, {"l2": "0.3"}, {"test_fraction": "0"}, {"dataset": "synthetic", "noise": "0"}],
)
def test_the_bowl_of_least_squares_agrees_with_all_examples(
    options: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = {"lr": "0.001,0.1,0.4", "seed": "0:1", "epochs": "300", "method": "gd,minibatch"}
    by_bowl = train("linear-regression", options, **grid)
    monkeypatch.setattr(LeastSquaresProgram, "fits", lambda *_: False)
    by_pass = train("linear-regression", options, **grid)
    for key, run in by_pass.items():
        for name, values in run.values.items():
            scale = np.maximum(values, 1e-6 * values[0])
            errors = np.abs(by_bowl[key].values[name] - values)
            assert (errors <= 1e-10 * scale).all(), (name, run.trial)
