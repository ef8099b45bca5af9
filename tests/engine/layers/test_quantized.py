"""Networks of a few bits: what is rounded, and that it is rounded alike in every engine."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gdcli.engine.device import Torch
from gdcli.engine.examples import examples_of
from gdcli.engine.families.family import starting_point
from gdcli.engine.families.on_torch import PAIR
from gdcli.engine.initial import module_of
from gdcli.engine.layers.quantized import RoundedConv2d, RoundedLinear, levels, rounded, rounding_of
from gdcli.engine.layout import one_axis
from gdcli.engine.programs.autograd import ModuleProgram
from gdcli.engine.programs.network import NetworkProgram
from gdcli.engine.programs.vmap import Together
from gdcli.problems.cnn import Cnn
from gdcli.problems.mlp import Mlp
from tests.grids import Trained, experiment, train

IRIS: dict[str, Any] = {"dataset": "iris", "hidden": "8"}
SMALL: dict[str, Any] = {"examples": "40", "channels": "2,3"}
MODELS = [("mlp", IRIS), ("cnn", SMALL)]


@given(bits=st.integers(2, 8), seed=st.integers(0, 99))
def test_levels_are_whole_and_as_many_as_the_bits_allow(bits: int, seed: int) -> None:
    x = torch.randn(3, 50, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    x[1] = 0
    whole, scale = levels(x, bits, (1,))
    assert torch.equal(whole, whole.round())
    assert whole.abs().max() == 2 ** (bits - 1) - 1
    assert scale.shape == (3, 1)
    assert not whole[1].any()
    if bits > 2:  # nothing is clamped
        assert ((whole * scale - x).abs() <= scale / 2 * (1 + 1e-12)).all()
    else:
        assert scale[0] == x[0].abs().mean()


def test_slopes_pass_straight_through() -> None:
    x = torch.tensor([[0.2, -1.0, 0.7]], dtype=torch.float64, requires_grad=True)
    y = rounded(x, 3, (1,))
    assert torch.equal(
        y.detach(), torch.tensor([[1, -3, 2]], dtype=x.dtype) / 3
    )  # exact, not off by rounding
    (slope,) = torch.autograd.grad((y * torch.tensor([[1.0, 2.0, 3.0]])).sum(), x)
    assert slope.tolist() == [[1.0, 2.0, 3.0]]


def _losses(trained: dict[str, Trained]) -> list[list[float]]:
    return [trial.losses.tolist() for trial in trained.values()]


# With weights of two bits windows of an image tie, and rounding noise would choose the maximum.
@pytest.mark.parametrize(
    ("problem", "options", "bits", "activations"),
    [("mlp", IRIS, "2", "32"), ("mlp", IRIS, "8", "6"), ("cnn", SMALL, "8", "6")],
)
@pytest.mark.parametrize("method", ["gd", "sgd", "minibatch"])
def test_both_engines_round_alike(
    problem: str, options: dict[str, Any], bits: str, activations: str, method: str
) -> None:
    grid = {"lr": "0.01,0.05", "dtype": "float64", "method": method, "steps": "6", "record": "2"}
    given = {**options, "quantize": "qat", "weight_bits": bits, "activation_bits": activations}
    fast = train(problem, given, **grid)
    plain = train(problem, given, **grid, engine="reference")
    for id_, trial in fast.items():
        for name, values in plain[id_].values.items():
            np.testing.assert_allclose(trial.values[name], values, rtol=1e-9, err_msg=name)


@pytest.mark.parametrize(("problem", "options"), MODELS)
@pytest.mark.parametrize("method", ["gd", "minibatch"])
def test_a_trial_in_the_grid_has_the_bits_it_has_alone(
    problem: str, options: dict[str, Any], method: str
) -> None:
    given = {**options, "quantize": "qat", "weight_bits": "2", "activation_bits": "4"}
    grid = {"method": method, "epochs": "3", "optimizer": "vanilla,momentum"}
    together = train(problem, given, lr="0.01,0.1,0.2", seed="0:2", **grid)
    alone = train(problem, given, lr="0.1", seed="1", **grid)
    assert len(alone) == 2
    for id_, trial in alone.items():
        for name, values in trial.values.items():
            assert together[id_].values[name].tobytes() == values.tobytes()


@pytest.mark.parametrize(("problem", "options"), MODELS)
def test_rounding_after_training_leaves_the_training_as_it_was(
    problem: str, options: dict[str, Any]
) -> None:
    grid = {"method": "minibatch", "epochs": "3", "lr": "0.05"}
    plain = train(problem, options, **grid)
    ptq = train(problem, {**options, "quantize": "ptq", "weight_bits": "3"}, **grid)
    assert _losses(plain) == _losses(ptq)
    ((one,), (other,)) = plain.values(), ptq.values()
    assert other.values.keys() - one.values.keys() == {
        "train_quantized_accuracy",
        "test_quantized_accuracy",
    } - ({"test_quantized_accuracy"} if "test_accuracy" not in one.values else set())


def test_what_is_measured_after_training_is_the_rounded_network() -> None:
    """Weights of qat at the start are those of ptq at the start: so is what they score."""
    grid = {"steps": "1", "lr": "1e-9", "vary": {"quantize": "ptq,qat"}, "dtype": "float64"}
    ptq, qat = train("mlp", {**IRIS, "weight_bits": "2"}, **grid).values()
    assert ptq.values["train_quantized_accuracy"][0] == qat.values["train_quantized_accuracy"][0]
    assert qat.values["train_accuracy"].tolist() == qat.values["train_quantized_accuracy"].tolist()
    assert ptq.losses[0] != qat.losses[0]


@pytest.mark.parametrize("method", ["gd", "minibatch"])
@pytest.mark.parametrize("engine", ["auto", "reference"])
def test_qat_may_begin_where_floats_have_come_to(method: str, engine: str) -> None:
    grid = {"method": method, "epochs": "6", "lr": "0.05", "record": "epoch", "engine": engine}
    options = {**IRIS, "weight_bits": "2"}
    (plain,) = train("mlp", IRIS, **grid).values()
    (late,) = train("mlp", {**options, "quantize": "qat", "float_epochs": "3"}, **grid).values()
    (never,) = train("mlp", {**options, "quantize": "qat", "float_epochs": "9"}, **grid).values()
    assert late.losses[:3].tolist() == plain.losses[:3].tolist()
    assert late.losses[3] != plain.losses[3]  # the same weights, rounded
    assert never.losses.tolist() == plain.losses.tolist()


def test_sparse_records_do_not_move_the_turn() -> None:
    options = {**IRIS, "quantize": "qat", "weight_bits": "2", "float_epochs": "3"}
    grid = {"method": "minibatch", "epochs": "6", "lr": "0.05"}
    (dense,) = train("mlp", options, **grid, record="epoch").values()
    (sparse,) = train("mlp", options, **grid, record="1000").values()
    assert sparse.losses[-1] == dense.losses[-1]


def test_rounding_costs_what_is_published_and_training_wins_it_back() -> None:
    """On digits two bits cost some 30 points of accuracy; training with them 1 to 2."""
    grid = {"method": "minibatch", "epochs": "30", "lr": "0.3", "seed": "0:2"}
    grid |= {"optimizer": "momentum", "schedule": "cosine"}
    options = {"weight_bits": "2", "activation_bits": "32"}
    found = train("mlp", options, **grid, vary={"quantize": "none,ptq,qat"})
    accuracy: dict[str, list[float]] = {}
    for trial in found.values():
        kind = trial.trial.problem.quantize  # type: ignore[attr-defined]
        name = "test_accuracy" if kind == "none" else "test_quantized_accuracy"
        accuracy.setdefault(kind, []).append(float(trial.values[name][-1]))
    plain, ptq, qat = (float(np.median(accuracy[kind])) for kind in ("none", "ptq", "qat"))
    assert plain > 0.96
    assert 0.15 < plain - ptq < 0.5
    assert plain - qat < 0.03


def test_nothing_rounded_is_one_trial_and_keeps_its_id() -> None:
    vary = {"quantize": "none,qat", "weight_bits": "2,4"}
    trials = experiment("mlp", IRIS, lr="0.1", vary=vary).grid.trials
    assert [t.problem.weight_bits for t in trials] == [None, 2, 4]  # type: ignore[attr-defined]
    (plain,) = experiment("mlp", IRIS, lr="0.1").grid.trials
    assert trials[0].id == plain.id


def test_only_linear_layers_and_convolutions_round() -> None:
    for problem, kind in (
        (Mlp(quantize="qat"), RoundedLinear),
        (Cnn(quantize="qat"), RoundedConv2d),
    ):
        data = problem.load(np.random.default_rng(0))
        module = module_of(problem, data)
        assert any(type(layer) is kind for layer in module.modules())
        assert rounding_of(module) is not None
        own = {name for name, _ in module.named_parameters()}
        assert own == set(starting_point(problem, data, 0))
    plain = Mlp()
    assert rounding_of(module_of(plain, plain.load(np.random.default_rng(0)))) is None


def test_a_module_that_is_not_stacked_rounds_too() -> None:
    """The loss by vmap and the stacked layers agree."""
    trials = experiment(
        "mlp", {**IRIS, "quantize": "qat", "weight_bits": "3"}, lr="0.1,0.2", dtype="float64"
    ).grid.trials
    problem, data = trials[0].problem, examples_of(trials[0])
    assert isinstance(problem, Mlp)
    layout, device = one_axis(trials, PAIR), Torch("float64")
    start = [starting_point(problem, data, seed) for seed in layout.seeds]
    found = []
    for program in (
        ModuleProgram(problem, data, layout, device, Together()),
        NetworkProgram(problem, data, layout, device, module_of(problem, data)),
    ):
        program.set_step(0)
        found.append(program.evaluate(program.start(start)))
    for name, values in found[0].values.items():
        torch.testing.assert_close(values, found[1].values[name], rtol=1e-12, atol=1e-14)
    for name, slopes in found[0].gradient.items():
        torch.testing.assert_close(slopes, found[1].gradient[name], rtol=1e-10, atol=1e-12)
