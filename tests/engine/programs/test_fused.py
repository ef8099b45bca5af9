"""Fused steps against the plain path: the same losses, to rounding."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gdcli.engine import batch
from gdcli.engine.batch import stepper_for
from gdcli.engine.cuda_graph import Graphed, Step
from gdcli.engine.examples import examples_of
from gdcli.engine.families.closed_form import ClosedForm
from gdcli.engine.plan import plan_of
from gdcli.engine.programs.fused import BlockedLinearModel, FusedLinearModel, LeastSquares
from gdcli.engine.programs.least_squares import LeastSquaresProgram
from gdcli.engine.programs.network import FusedNetwork
from gdcli.engine.update import StackedOptimizer, Stepwise
from gdcli.problem import Data
from gdcli.problems.linear_regression import LinearRegression
from gdcli.problems.quadratic import Quadratic
from tests.grids import assert_agree, experiment, only, train

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gdcli.engine.programs.program import Program
    from gdcli.engine.sampling import Orders

LINEAR = {"method": "gd", "optimizer": "vanilla,momentum,nesterov", "record": "7"}
NOISY = {"rotate": "true", "noise": "1", "examples": "20"}
CASES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("quadratic", {"condition": "100"}, {**LINEAR, "lr": "0.001,0.019", "steps": "1000"}),
    ("quadratic", {"dim": "2500", "spread": "1"}, {**LINEAR, "lr": "0.01", "steps": "30"}),
    ("quadratic", {"dim": "9", **NOISY}, {**LINEAR, "lr": "0.01,0.1", "steps": "100"}),
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
    monkeypatch.setattr(batch, "stepper_for", Stepwise)
    single = train(problem, options, **grid)
    for key, run in single.items():
        scale = np.maximum(run.losses, 1e-6 * run.losses[0])
        assert (np.abs(fused[key].losses - run.losses) <= 1e-10 * scale).all(), run.trial


def two_targets(_: LinearRegression, rng: np.random.Generator) -> Data:
    x = rng.standard_normal((21, 3))
    y = x @ rng.standard_normal((3, 2)) + rng.standard_normal((21, 2))
    return Data({"x": x, "y": y})


def test_least_squares_of_several_targets_agrees_with_single_steps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(LinearRegression, "load", two_targets)
    options = {"init-scale": "0.015625"}  # of no other test: examples are held by problem
    grid = {"method": "sgd,minibatch,gd", "batch_size": "4", "lr": "0.01,0.1"}
    fused = train("linear-regression", options, **grid)
    monkeypatch.setattr(batch, "stepper_for", Stepwise)
    assert_agree(fused, train("linear-regression", options, **grid))


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


def collinear(folder: Path, gap: float) -> dict[str, str]:
    """Return the options of a CSV file with two columns that are nearly one."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((60, 2))
    rows = np.c_[x, x[:, 0] + gap * rng.standard_normal(60), x @ [1, 2] + rng.standard_normal(60)]
    file = folder / "collinear.csv"
    np.savetxt(file, rows, delimiter=",", header="a,b,c,y", comments="")
    return {"data": str(file), "target": "y"}


@pytest.mark.parametrize("gap", [1e-3, 1e-5, 1e-7, 0.0])
def test_the_bowl_keeps_its_digits_where_features_depend_on_each_other(
    gap: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options, grid = collinear(tmp_path, gap), {"lr": "0.1", "epochs": "50"}
    by_bowl = only(train("linear-regression", options, **grid))
    monkeypatch.setattr(LeastSquaresProgram, "fits", lambda *_: False)
    by_pass = only(train("linear-regression", options, **grid))
    for name in ("train_loss", "test_loss", "grad_norm"):
        values = by_pass.values[name]
        scale = np.maximum(values, 1e-6 * values[0])
        assert (np.abs(by_bowl.values[name] - values) <= 1e-10 * scale).all(), name


@pytest.mark.parametrize("grid", [{}, {"schedule": "cosine"}, {"method": "sgd"}])
@pytest.mark.parametrize("rule", [{"clip_norm": "2"}, {"weight_decay": "0.1"}, {}])
def test_a_bowl_turned_to_its_axes_has_the_same_curves(
    grid: dict[str, Any], rule: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"dim": "6", **NOISY}
    grid = {"optimizer": "vanilla,momentum,nesterov", "lr": "0.01,0.1", **grid, **rule}
    turned = train("quadratic", options, **grid)
    monkeypatch.setattr(Quadratic, "aligned", lambda *_: None)
    straight = train("quadratic", options, **grid)
    for key, run in straight.items():
        for name, values in run.values.items():
            np.testing.assert_allclose(turned[key].values[name], values, rtol=1e-10, err_msg=name)


def test_a_bowl_diverges_at_the_same_point_in_closed_form(monkeypatch: pytest.MonkeyPatch) -> None:
    grid = {**LINEAR, "lr": "0.01,0.3,1,1e3", "steps": "2000"}
    closed = train("quadratic", {"condition": "10"}, **grid)
    monkeypatch.setattr(batch, "stepper_for", Stepwise)
    single = train("quadratic", {"condition": "10"}, **grid)
    ends = {key: (run.ended, run.steps) for key, run in single.items()}
    assert {key: (run.ended, run.steps) for key, run in closed.items()} == ends
    assert len({ended for ended, _ in ends.values()}) == 2


def refused(_: Step, __: str) -> Step:
    raise RuntimeError("operation not permitted when stream is capturing")


CHANGING = {
    "weight_decay": "0.1",
    "schedule_for": "weight-decay=cosine,nesterov.beta=linear(final=0.5)",
}


@pytest.mark.parametrize("capture", [lambda step, _: step, refused], ids=["recorded", "refused"])
@pytest.mark.parametrize("rule", [{}, {"clip_norm": "0.5"}, {"weight_decay": "0.1"}, CHANGING])
def test_steps_on_the_memory_of_a_graph_are_the_plain_steps(
    capture: Callable[[Step, str], Step], rule: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"dataset": "iris", "hidden": "5", "l2": "0.01"}
    # Rates up to one that diverges: the others go on with learning rates in other memory. Batches
    # of 16 end their epochs with one of 8.
    grid = {"optimizer": "vanilla,nesterov,lion", "lr": "0.01,0.1,1e12", "record": "7", **rule}
    grid |= {"method": "gd,minibatch", "batch_size": "16", "schedule": "constant,cosine"}

    def graphed(program: Program, rule: StackedOptimizer, orders: Orders | None) -> Graphed:
        return Graphed(Stepwise(program, rule, orders), capture)

    monkeypatch.setattr(batch, "stepper_for", graphed)
    replayed = train("mlp", options, steps="60", seed="0:1", **grid)
    monkeypatch.setattr(batch, "stepper_for", Stepwise)
    single = train("mlp", options, steps="60", seed="0:1", **grid)
    for key, run in single.items():
        assert (replayed[key].steps, replayed[key].ended) == (run.steps, run.ended)
        for name, values in run.values.items():
            np.testing.assert_array_equal(replayed[key].values[name], values)


def test_a_network_that_is_rounded_later_has_no_graph() -> None:
    options = {"dataset": "iris", "quantize": "qat"}
    for late in (0, 3):
        given = {**options, "float_epochs": str(late)}
        trials = experiment("mlp", given, lr="0.1", epochs="5").grid.trials
        data = examples_of(trials[0])
        loop = batch.loop_for(trials, data, plan_of(trials[0], data.examples), "cpu")
        assert not Graphed.fits(loop.program)  # on a CPU there are none
        loop.program.device = SimpleNamespace(eager=False)  # type: ignore[assignment]
        assert Graphed.fits(loop.program) == (late == 0)


CHOSEN: list[tuple[type, str, dict[str, Any], dict[str, Any]]] = [
    (ClosedForm, "quadratic", {}, {"optimizer": "nesterov"}),
    (ClosedForm, "quadratic", {"rotate": "true"}, {}),
    (Stepwise, "quadratic", {"rotate": "true"}, {"optimizer": "adam"}),
    (Stepwise, "quadratic", {}, {"schedule": "cosine"}),
    (Stepwise, "quadratic", {}, {"optimizer": "nesterov", "schedule_for": "nesterov.beta=linear"}),
    (LeastSquares, "linear-regression", {}, {"method": "sgd"}),
    (BlockedLinearModel, "softmax-regression", {}, {"method": "sgd"}),
    (FusedLinearModel, "logistic-regression", {}, {"method": "sgd"}),
    (FusedLinearModel, "softmax-regression", {}, {"method": "minibatch"}),
    (FusedNetwork, "mlp", {"dataset": "iris"}, {"method": "sgd"}),
    (Stepwise, "linear-regression", {}, {"method": "sgd", "optimizer": "adam"}),
    (Stepwise, "linear-regression", {}, {"method": "sgd", "weight_decay": "0.1"}),
    (Stepwise, "linear-regression", {}, {"method": "gd"}),
]


@pytest.mark.parametrize(("kind", "problem", "options", "grid"), CHOSEN)
def test_the_stepper_follows_from_the_kind_of_work(
    kind: type,
    problem: str,
    options: dict[str, Any],
    grid: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chosen: list[type] = []

    def spy(*parts: Any) -> Any:
        stepper = stepper_for(*parts)
        chosen.append(type(stepper))
        return stepper

    monkeypatch.setattr(batch, "stepper_for", spy)
    train(problem, options, steps="1", **grid)
    assert chosen == [kind]


DRAWN = {
    "linear-regression": {"dataset": "synthetic", "examples": "50", "features": "7"},
    "logistic-regression": {},
    "softmax-regression": {},
    "mlp": {"dataset": "iris", "hidden": "5", "activation": "sigmoid"},
}


@pytest.mark.parametrize("problem", DRAWN)
@settings(max_examples=12, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_every_stepper_agrees_with_the_plain_one(problem: str, data: st.DataObject) -> None:
    grid = {
        "dtype": "float64",
        "lr": "0.001,0.03",
        "seed": "3,5",
        "steps": str(data.draw(st.integers(1, 60))),
        "method": data.draw(st.sampled_from(["sgd", "minibatch"])),
        "batch_size": str(data.draw(st.integers(1, 33))),
        "order": data.draw(st.sampled_from(["shuffle", "fixed", "replacement"])),
        "remainder": data.draw(st.sampled_from(["keep", "drop"])),
        "record": data.draw(st.sampled_from(["epoch", "log", "5", "17"])),
        "schedule": data.draw(st.sampled_from(["constant", "cosine"])),
    }
    options = {**DRAWN[problem], "l2": data.draw(st.sampled_from(["0", "0.01", "30"]))}
    fused = train(problem, options, **grid)
    with mock.patch.object(batch, "stepper_for", Stepwise):
        single = train(problem, options, **grid)
    for key, run in single.items():
        scale = np.maximum(run.losses, 1e-6 * run.losses[0])
        assert (np.abs(fused[key].losses - run.losses) <= 1e-10 * scale).all(), run.trial
