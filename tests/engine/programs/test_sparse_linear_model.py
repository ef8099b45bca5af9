"""Linear models on sparse examples: the losses and steps of the same examples with their zeros."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression as Theirs

from benchmarks.words import drawn
from gdcli.datasets.sparse import Sparse
from gdcli.engine.batch import loop_for, stepper_for
from gdcli.engine.device import NumPy
from gdcli.engine.families.family import family_of, starting_point
from gdcli.engine.plan import plan_of
from gdcli.engine.programs.sparse_linear_model import SparseProgram
from gdcli.engine.recorder import BatchHistory, TrainingState
from gdcli.engine.sampling import Orders
from gdcli.engine.update import StackedOptimizer
from gdcli.experiment.grid import Trial
from gdcli.experiment.training import Training
from gdcli.optimizers.adam import Adam
from gdcli.optimizers.vanilla import Vanilla
from gdcli.problem import Data, LinearModel
from gdcli.problems.huber import Huber
from gdcli.problems.linear_regression import LinearRegression
from gdcli.problems.logistic_regression import LogisticRegression
from gdcli.problems.poisson_regression import PoissonRegression
from gdcli.problems.softmax_regression import SoftmaxRegression
from gdcli.problems.svm import Svm
from gdcli.schedules.constant import Constant

ROWS, FEATURES = 90, 200


def data_of(problem: LinearModel) -> tuple[Data, Data]:
    """Return the same examples sparse and with their zeros, one of them without any entry."""
    starts, columns, values, labels = drawn(ROWS + 30, FEATURES, 8)
    full = Sparse(values, columns, starts, FEATURES).full()
    full[3] = 0
    x = Sparse.of(full)
    y = (labels > 0).astype(float)[:, None]
    if isinstance(problem, SoftmaxRegression):
        y = np.eye(3)[np.arange(len(labels)) % 3]
    first, rest = slice(0, ROWS), slice(ROWS, None)
    return (
        Data({"x": x[first], "y": y[first]}, {"x": x[rest], "y": y[rest]}),
        Data({"x": full[first], "y": y[first]}, {"x": full[rest], "y": y[rest]}),
    )


PROBLEMS = (
    LinearRegression(l2=0.02),
    LogisticRegression(),
    LogisticRegression(l2=0.0, class_weights="balanced"),
    SoftmaxRegression(),
    Svm(hinge="squared"),
    Svm(),
    Huber(delta=0.3),
    PoissonRegression(),
)


def trials_of(
    problem: LinearModel, method: str, size: int | None = None, count: int = 3, **training: Any
) -> list[Trial]:
    """Return trials of several rates and two seeds."""
    rates = np.geomspace(0.01, 0.5, count).tolist()
    like = Trial(problem, method, size, Vanilla(), Constant(), rates[0], 0, Training(epochs=2))
    changed = replace(like, training=replace(like.training, **training))
    return [replace(changed, lr=lr, seed=seed) for lr in rates for seed in (0, 1)]


def trained(trials: list[Trial], data: Data) -> BatchHistory:
    loop = loop_for(trials, data, plan_of(trials[0], data.examples), "cpu")
    assert isinstance(loop.program, SparseProgram) == isinstance(data.train["x"], Sparse)
    with np.errstate(all="ignore"):
        return loop.run(lambda _: None)


METHODS = [("sgd", None), ("minibatch", 7), ("gd", None)]


@pytest.mark.parametrize(
    "problem", PROBLEMS, ids=[f"{type(p).__name__}-{i}" for i, p in enumerate(PROBLEMS)]
)
@pytest.mark.parametrize(("method", "size"), METHODS)
def test_curves_are_those_of_the_examples_with_their_zeros(
    problem: LinearModel, method: str, size: int | None
) -> None:
    kept, full = data_of(problem)
    trials = trials_of(problem, method, size)
    found, wanted = trained(trials, kept), trained(trials, full)
    assert found.values.keys() == wanted.values.keys()
    for name, values in wanted.values.items():
        np.testing.assert_allclose(found.values[name], values, rtol=1e-9, err_msg=name)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("method", "size"), METHODS)
@pytest.mark.parametrize("problem", [PROBLEMS[1], PROBLEMS[3]], ids=["logistic", "softmax"])
def test_a_trial_has_the_same_bits_alone_as_in_a_grid(
    problem: LinearModel, method: str, size: int | None, dtype: str
) -> None:
    kept, _ = data_of(problem)
    trials = trials_of(problem, method, size, count=24, dtype=dtype)
    trials += [replace(trials[0], lr=1e30), replace(trials[0], lr=900.0)]  # which diverge
    whole = trained(trials, kept)
    for place in (0, 3, 30, 49):
        alone = trained([trials[place]], kept)
        for name, values in whole.values.items():
            length = alone.length[0]
            np.testing.assert_array_equal(
                alone.values[name][:length, 0], values[:length, place], err_msg=name
            )


@pytest.mark.parametrize("lr", [30.0, 50.0, 50.1, 70.0, 100.0, 0.0])
@pytest.mark.parametrize(("method", "size"), METHODS[:2])
def test_a_step_may_shrink_all_weights_to_nothing_or_turn_them(
    lr: float, method: str, size: int | None
) -> None:
    """1 - lr l2 is 0 at lr = 50, negative beyond it, and small around it."""
    problem = LogisticRegression(l2=0.02)
    kept, full = data_of(problem)
    trials = [replace(trial, lr=lr) for trial in trials_of(problem, method, size, count=1)]
    found, wanted = trained(trials, kept), trained(trials, full)
    assert (found.ended == wanted.ended).all()
    for name, values in wanted.values.items():
        np.testing.assert_allclose(found.values[name], values, rtol=1e-7, err_msg=name)


def test_a_trial_that_shrinks_its_weights_quickly_leaves_its_neighbours_bits() -> None:
    kept, _ = data_of(LogisticRegression(l2=0.02))
    slow = trials_of(LogisticRegression(l2=0.02), "sgd")
    quick = [replace(slow[0], lr=lr) for lr in (49.9, 50.0, 40.0)]
    alone, beside = trained(slow, kept), trained([*slow, *quick], kept)
    for name, values in alone.values.items():
        np.testing.assert_array_equal(values, beside.values[name][: len(values), : len(slow)])


@pytest.mark.parametrize("optimizer", [Vanilla(weight_decay=0.01), Vanilla(clip_norm=0.05), Adam()])
def test_other_optimizers_step_on_sparse_batches(optimizer: Vanilla | Adam) -> None:
    kept, full = data_of(PROBLEMS[1])
    trials = [replace(t, optimizer=optimizer) for t in trials_of(PROBLEMS[1], "minibatch", 7)]
    found, wanted = trained(trials, kept), trained(trials, full)
    np.testing.assert_allclose(found.values["train_loss"], wanted.values["train_loss"], rtol=1e-9)


def test_hessian_products_and_losses_by_example_are_those_with_the_zeros() -> None:
    problem = PROBLEMS[3]
    trials, rng = trials_of(problem, "sgd"), np.random.default_rng(0)
    found = []
    for data in data_of(problem):
        program = family_of(problem).program(trials, data, NumPy("float64"), 8)
        params = program.start([starting_point(problem, data, seed) for seed in (0, 1)])
        way = program.unflatten(rng.standard_normal((2, 1, 8, (FEATURES + 1) * 3)), params)
        product = program.hessian_product(params, way)["weight"]
        each = list(program.per_example(params))
        found.append((product, *(e.loss for e in each), *(e.probability for e in each)))
        rng = np.random.default_rng(0)
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-14)


def test_full_descent_reaches_scikit_learns_minimum() -> None:
    problem = LogisticRegression(l2=0.1)
    kept, full = data_of(problem)
    trials = trials_of(problem, "gd", count=1, epochs=4000, record="4000")
    found = trained([replace(trial, lr=2.0) for trial in trials], kept)
    x, y = full.train["x"], full.train["y"][:, 0]
    theirs = Theirs(C=1 / (0.1 * ROWS), tol=1e-12, max_iter=10_000).fit(x, y)
    z = theirs.decision_function(x)
    least = np.logaddexp(0, z).mean() - (y * z).mean() + 0.05 * (theirs.coef_**2).sum()
    np.testing.assert_allclose(found.values["train_loss"][-1], least, rtol=1e-9)


def test_a_run_that_stops_between_epochs_has_the_bits_of_one_that_does_not() -> None:
    """A checkpoint is kept after an epoch: there the factors move into the weights anyway."""
    problem = LogisticRegression(l2=0.02)
    kept, _ = data_of(problem)
    trials = trials_of(problem, "sgd", record="1000")
    plan = plan_of(trials[0], kept.examples)
    program = family_of(problem).program(trials, kept, NumPy("float64"), 8)
    found = []
    for stops in ([180], [90, 180]):
        params = program.start([starting_point(problem, kept, seed) for seed in (0, 1)])
        optimizer = StackedOptimizer(program, trials, params, plan.steps)
        stepper = stepper_for(
            program, optimizer, Orders("logistic-regression", (0, 1), plan, "shuffle")
        )
        state = TrainingState(0, params, optimizer.init(params), {})
        for stop in stops:
            state = stepper.advance(state, stop)
        found.append(state.params["weight"])
    np.testing.assert_array_equal(*found)


def test_nothing_of_a_run_makes_the_zeros(monkeypatch: pytest.MonkeyPatch) -> None:
    kept, _ = data_of(PROBLEMS[1])
    monkeypatch.setattr(Sparse, "full", lambda _: pytest.fail("the zeros were made"))
    for method, size in METHODS:
        trained(trials_of(PROBLEMS[1], method, size), kept)
