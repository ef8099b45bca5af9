"""Curvature from labels that a model draws: each program, the reference and plain autograd."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest
import torch
from torch import nn

from gdcli.catalog.catalog import name_of
from gdcli.engine.batch import batches_of
from gdcli.engine.device import NumPy, Torch
from gdcli.engine.examples import examples_of
from gdcli.engine.families.family import program_for, starting_point
from gdcli.engine.initial import module_of
from gdcli.engine.refusals import check_rule
from gdcli.engine.sampling import exponentials
from gdcli.errors import UserError
from gdcli.experiment.grid import Axes, Grid, Trial, cohorts_of
from gdcli.experiment.training import Training
from gdcli.optimizers.sophia_g import SophiaG
from gdcli.problem import Data, LinearModel, Network, Problem
from gdcli.problems.logistic_regression import LogisticRegression
from gdcli.problems.mlp import Mlp
from gdcli.problems.quadratic import Quadratic
from gdcli.problems.softmax_regression import SoftmaxRegression
from gdcli.problems.svm import Svm
from tests.engine.programs.test_network import Regression, Unknown
from tests.engine.test_contract import same
from tests.grids import Trained, assert_agree, only, train, train_batches

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Places(Network):
    """Several labels an example, some of them left out; the outputs have the classes last."""

    def load(self, rng: np.random.Generator) -> Data:
        """Return thirty examples of four places."""
        y = rng.integers(3, size=(30, 4))
        y[rng.random((30, 4)) < 0.2] = -100
        return Data({"x": rng.standard_normal((30, 4, 5)), "y": y})

    def module(self, data: Data) -> nn.Module:
        """Return layers of each place."""
        return nn.Sequential(nn.Linear(5, 4), nn.Softplus(), nn.Linear(4, 3))


@dataclass(frozen=True)
class Noisy(Unknown):
    """A network whose steps drop units and normalize batches."""

    def module(self, data: Data) -> nn.Module:
        """Return linear layers with a norm and dropout between them.

        A bias before such a norm has no slope: what is divided would be rounding alone.
        """
        first = [nn.Linear(5, 7, bias=False), nn.BatchNorm1d(7), nn.Softplus(), nn.Dropout(0.3)]
        return nn.Sequential(*first, nn.Linear(7, 3))


@dataclass(frozen=True)
class Alone(Noisy):
    """The same, whose trials run one by one."""

    vectorized = False


def trials_of(problem: type[Network], method: str, *seeds: int) -> tuple[Trial, ...]:
    """Return trials of a network that no file of gdcli holds, two a seed."""
    axes = Axes(method=(cast("Any", method),), batch_size=(8,), seed=seeds, lr=(0.01, 0.003))
    training = Training(steps=6, record="step", dtype="float64")
    trials = Grid(problem, {"l2": 0.1}, axes, {}, (), training).trials
    return tuple(replace(trial, optimizer=SophiaG(every=2)) for trial in trials)


def trained(trials: Sequence[Trial], engine: str = "auto") -> dict[str, Trained]:
    """Return trials after their training."""
    return train_batches(batches_of(cohorts_of(trials), engine))


@pytest.mark.parametrize("method", ["gd", "minibatch"])
@pytest.mark.parametrize("problem", [Unknown, Places, Noisy, Alone])
def test_networks_agree_with_the_reference_and_alone(problem: type[Network], method: str) -> None:
    trials = trials_of(problem, method, 0, 1)
    found = trained(trials)
    assert_agree(found, trained(trials, "reference"))
    assert same(only(trained(trials[-1:])), found[trials[-1].id])
    assert len({run.losses[-1] for run in found.values()}) == 4


@pytest.mark.parametrize("method", ["gd", "minibatch"])
def test_a_network_in_parts_agrees_with_the_reference(method: str) -> None:
    """A step of all 1797 digits is computed some examples at a time."""
    given: Any = {"lr": "0.01,0.02", "optimizer": "sophia-g", "method": method, "dtype": "float64"}
    given |= {"steps": "3", "record": "step", "vary": {"sophia-g.every": "1"}}
    options = {"dataset": "digits", "hidden": "4", "l2": "0.01"}
    found = train("mlp", options, **given)
    assert_agree(found, train("mlp", options, engine="reference", **given))


def drawn(problem: Problem, likely: torch.Tensor, seed: int, step: int) -> torch.Tensor:
    """Return the label of each example, given the probabilities, (examples, classes)."""
    race = exponentials((name_of(problem), seed), step, tuple(likely.shape))
    return (likely / torch.from_numpy(race)).argmax(1)


def test_an_estimate_is_that_of_plain_autograd() -> None:
    trials = trials_of(Unknown, "minibatch", 0, 1)
    problem, data = trials[0].problem, examples_of(trials[0])
    program = program_for(trials, data, Torch("float64"))
    rng = np.random.default_rng(0)
    params = program.start([starting_point(problem, data, seed) for seed in (0, 1)])
    places = rng.integers(len(data.train["x"]), size=(1, 2, 8))
    program.step = 5
    (batch,) = program.batches(places)
    found = program.gauss_newton_diagonal(params, batch)
    module = module_of(cast("Network", problem), data).double()
    for place, seed in enumerate(program.layout.seed):
        for name, parameter in module.named_parameters():
            parameter.data = params[name][place].clone()
        module.zero_grad()
        z = module(torch.from_numpy(data.train["x"][places[0, seed]]))
        labels = drawn(problem, torch.softmax(z.detach(), 1), int(seed), 5)
        torch.nn.CrossEntropyLoss()(z, labels).backward()
        for name, parameter in module.named_parameters():
            slope = cast("torch.Tensor", parameter.grad)
            wanted = 8 * slope**2 + (0.1 if slope.ndim > 1 else 0)
            torch.testing.assert_close(found[name][place], wanted, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("model", [LogisticRegression, SoftmaxRegression])
@pytest.mark.parametrize("whole", [False, True])
def test_the_mean_estimate_is_the_diagonal(model: type[LinearModel], whole: bool) -> None:  # noqa: FBT001
    """Over 2000 steps, its standard error is 0.03 of the diagonal's part by the labels."""
    rng = np.random.default_rng(1)
    x, classes = rng.standard_normal((40, 3)), 1 if model is LogisticRegression else 3
    y = np.eye(3)[rng.integers(3, size=40)][:, :classes]
    problem, data = model(l2=0.1), Data({"x": x, "y": y})
    axes = Axes(method=("minibatch",), seed=(0,), lr=(0.1,))
    trials = Grid(model, {}, axes, {}, (), Training(steps=1)).trials
    trials = tuple(replace(trial, problem=problem) for trial in trials)
    program = program_for(trials, data, NumPy("float64"), 1)
    params = program.start([{"weight": rng.standard_normal((3, classes)), "bias": y[0] - 0.5}])
    (batch,) = [None] if whole else program.batches(np.arange(40)[None, None, ::-1])
    mean = 0.0
    for program.step in range(2000):
        mean = mean + program.gauss_newton_diagonal(params, batch)["weight"] / 2000
    size = params["weight"].size
    for place in range(size):
        way = program.unflatten(np.eye(size)[place][None, None, None], params)
        bent = program.flatten(program.gauss_newton_product(params, way, batch)).ravel()[place]
        penalty = 0.1 if place < 3 * classes else 0.0
        found = program.flatten({"weight": mean}).ravel()[place]
        assert abs(found - bent) < 0.15 * (bent - penalty)


REFUSED: list[tuple[Problem, str]] = [
    (Quadratic(), "the loss of quadratic is not their cross-entropy"),
    (Svm(), "the loss of svm is not their cross-entropy"),
    (Regression(), "is not their cross-entropy"),
    (Mlp(dataset="iris", class_weights="balanced"), "--class-weights weighs the examples"),
    (LogisticRegression(class_weights="balanced"), "--class-weights weighs the examples"),
]


@pytest.mark.parametrize(("problem", "why"), REFUSED)
def test_what_has_no_labels_to_draw_is_refused(problem: Problem, why: str) -> None:
    with pytest.raises(UserError, match=f"sophia-g draws labels .*{why}"):
        check_rule(SophiaG(), problem, dict)


def test_each_estimate_is_charged_as_a_gradient() -> None:
    trials = trials_of(Unknown, "minibatch", 0)
    (run, _) = trained(trials).values()
    assert list(run.seen) == [0, 16, 24, 40, 48, 64, 72]
