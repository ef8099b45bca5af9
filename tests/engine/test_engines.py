"""What the engine stacks, fuses and differentiates by hand, against `--engine reference`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from torch import nn

from gdcli.catalog.catalog import SCHEDULES
from gdcli.engine.batch import batches_of, train_batch
from gdcli.engine.examples import examples_of
from gdcli.engine.recorder import CONVERGED, DIVERGED, RUNNING
from gdcli.experiment.experiment import Experiment
from gdcli.experiment.grid import Axes, Grid
from gdcli.experiment.training import Training
from gdcli.problem import Data, Network
from tests.engine.test_contract import NOISY, PAIRS, SMALL, methods
from tests.grids import TRAINABLE, Trained, assert_agree, experiment, only, train, train_experiment
from tests.rules import whole

FEW = {"lr": "0.001,0.003", "seed": "5", "steps": "8", "record": "4", "batch_size": "7"}


def both(problem: str, options: dict[str, Any], **grid: Any) -> dict[str, Trained]:
    """Train a grid both ways, and return what the engine made of it if they agree."""
    found = train(problem, options, **grid)
    assert_agree(found, train(problem, options, engine="reference", **grid))
    return found


def options_of(problem: str) -> dict[str, Any]:
    """Return options with which a problem is small."""
    return NOISY.get(problem, SMALL.get(problem, {}))


# What they accept or turn by depends on the last digits: tests/oracles has their steps.
CHAOTIC = ("lbfgs", "nonlinear-cg", "soap")


@pytest.mark.parametrize(
    ("problem", "optimizer"), [pair for pair in PAIRS if pair[1] not in CHAOTIC]
)
def test_every_problem_with_every_optimizer(problem: str, optimizer: str) -> None:
    found = both(
        problem,
        options_of(problem),
        **FEW,
        method=methods(problem),
        optimizer=whole(optimizer),
        dtype="float64",
    )
    assert len(found) in {2, 6}
    for run in found.values():
        assert len(run.steps) == 3
        assert len(set(run.losses)) >= 2  # it moves, if not in the first steps


SETTINGS: list[dict[str, str]] = [
    {"order": "fixed", "remainder": "drop", "optimizer": "momentum"},
    {"order": "replacement", "weight_decay": "0,0.1", "clip_norm": "0.01,10"},
    {"optimizer": "adamw,lion", "weight_decay": "0.3", "clip_norm": "0.05", "record": "log"},
]


@pytest.mark.parametrize("problem", TRAINABLE)
@pytest.mark.parametrize("settings", SETTINGS, ids=range(len(SETTINGS)))
def test_every_problem_in_every_order(problem: str, settings: dict[str, str]) -> None:
    options = options_of(problem)
    if problem in {"linear-regression", "matrix-factorization", "mlp", "softmax-regression"}:
        options = {**options, "l2": "0.1"}
    method = methods(problem)
    # Several epochs of minibatches, the last of each smaller, where there is room for them.
    both(problem, options, **{**FEW, "batch_size": "25", "method": method, **settings})


@pytest.mark.parametrize("problem", ["linear-regression", "mlp", "quadratic"])
def test_every_schedule(problem: str) -> None:
    schedule = ",".join(SCHEDULES.names())
    grid = {**FEW, "method": methods(problem), "dtype": "float64"}
    both(problem, options_of(problem), schedule=schedule, **grid)


@pytest.mark.parametrize("problem", TRAINABLE)
def test_single_precision(problem: str) -> None:
    grid = {**FEW, "method": methods(problem), "dtype": "float32"}
    both(problem, options_of(problem), optimizer="vanilla,adam", **grid)


@pytest.mark.parametrize(
    "problem", ["linear-regression", "matrix-factorization", "mlp", "quadratic", "rosenbrock"]
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_trial_diverges_at_the_same_point(problem: str, dtype: str) -> None:
    grid = {"steps": "40", "record": "1", "batch_size": "7", "dtype": dtype}
    grid |= {"method": methods(problem), "lr": "0.0001,30000"}
    options = options_of(problem)
    if problem == "mlp":  # the cross-entropy of dead units is finite; their penalty is not
        options = {**options, "l2": "1"}
    for run in both(problem, options, **grid).values():
        assert run.ended == (RUNNING if run.trial.lr < 1 else DIVERGED)


@pytest.mark.parametrize("problem", ["linear-regression", "mlp", "quadratic"])
@pytest.mark.parametrize("goal", ["tol", "target_loss"])
def test_a_trial_converges_at_the_same_point(problem: str, goal: str) -> None:
    options: dict[str, Any] = {"dataset": "wine", "hidden": "4"} if problem == "mlp" else {}
    grid = {"lr": "0.1", "steps": "30", "record": "1", "dtype": "float64"}
    free = only(train(problem, options, **grid))
    reached = free.values["grad_norm" if goal == "tol" else "train_loss"][19:21].mean()
    run = only(both(problem, options, **grid, **{goal: repr(float(reached))}))
    assert run.ended == CONVERGED
    assert 1 < len(run.steps) < 31


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_target_is_compared_in_the_precision_of_the_losses(dtype: str) -> None:
    options, grid = {"dim": "1", "condition": "2"}, {"steps": "9", "record": "1", "dtype": dtype}
    free = only(train("quadratic", options, engine="reference", **grid))
    target = str(free.losses[4])  # read off the curve
    run = only(train("quadratic", options, engine="reference", target_loss=target, **grid))
    assert run.steps == [0, 1, 2, 3, 4]


def test_every_step_of_a_trial_is_told_until_it_ends() -> None:
    given = experiment("rosenbrock", lr="0.001,1", steps="90", record="20")
    told: list[list[int]] = []
    for work in batches_of(given.grid.cohorts, "reference"):
        told.append([])
        _, curves = train_batch(work, examples_of(work.trials[0]), "cpu", told[-1].append)
        assert curves.steps[-1] == sum(told[-1])
    assert told == [[20, 20, 20, 20, 10], [20]]


CLOSED = "value and gradient in closed form"
PATHS = [
    ("quadratic", {}, {}, f"{CLOSED} on NumPy, all steps to a recorded point as one power"),
    ("quadratic", {}, {"optimizer": "adam"}, f"{CLOSED} on NumPy, step by step"),
    ("softmax-regression", {}, {"method": "sgd"}, "linear model on NumPy, weights moved every"),
    ("mlp", {"dataset": "iris"}, {"method": "sgd"}, "stacked layers on torch, gradient and update"),
    ("mlp", {"dataset": "iris"}, {"optimizer": "adam"}, "stacked layers on torch, step by step"),
    ("matrix-factorization", {}, {}, "vmap of the loss on torch, step by step"),
    ("quadratic", {}, {"engine": "reference"}, "reference: autograd on torch, one trial at a time"),
]


@pytest.mark.parametrize(("problem", "options", "grid", "words"), PATHS)
def test_the_path_says_what_computed_a_batch(
    problem: str, options: dict[str, str], grid: dict[str, str], words: str
) -> None:
    engine = grid.get("engine", "auto")
    settings = {name: value for name, value in grid.items() if name != "engine"}
    given = experiment(problem, options, steps="1", **settings)
    (work,) = batches_of(given.grid.cohorts, engine)
    _, curves = train_batch(work, examples_of(work.trials[0]), "cpu", lambda _: None)
    assert curves.path.startswith(words)


@dataclass(frozen=True)
class Forgetful(Network):
    """A network whose layer draws numbers of its own."""

    def load(self, rng: np.random.Generator) -> Data:
        return Data({"x": rng.standard_normal((20, 3)), "y": rng.integers(2, size=20)})

    def module(self, data: Data) -> nn.Module:
        return nn.Sequential(nn.Linear(3, 4), nn.Dropout(), nn.Linear(4, 2))


def test_what_a_layer_draws_follows_from_the_seed() -> None:
    axes = Axes(lr=(0.1,), seed=(0, 1))
    grid = Grid(Forgetful, {}, axes, {}, (), Training(steps=3))
    given = Experiment("own", grid)
    first, second = train_experiment(given, engine="reference").values()
    again, _ = train_experiment(given, engine="reference").values()
    assert first.losses.tolist() == again.losses.tolist() != second.losses.tolist()


# At lr = 1 / l2 a step forgets the weights that it starts from.
@pytest.mark.parametrize("dataset", ["wine", "digits"])
@pytest.mark.parametrize("method", ["gd", "sgd", "minibatch"])
def test_a_penalty_may_undo_the_weights_in_a_step(dataset: str, method: str) -> None:
    options = {"dataset": dataset, "test_fraction": "0.9", "l2": "50"}
    rates = {"lr": "0.02,0.01999,0.025", "steps": "40", "record": "10", "batch_size": "5"}
    exact = both("softmax-regression", options, method=method, **rates)
    assert len(exact) == 3
    rough = train("softmax-regression", options, method=method, **rates, dtype="float32")
    for run, single in zip(exact.values(), rough.values(), strict=True):
        np.testing.assert_allclose(single.losses, run.losses, rtol=1e-3)
