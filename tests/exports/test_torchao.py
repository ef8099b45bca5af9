"""The integers of `gdcli export --to int8` beside those of torchao."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch

from gdcli.engine.examples import examples_of
from gdcli.engine.initial import integers_of, layers_of, module_of
from gdcli.problem import Data, Network
from gdcli.runs.options import Silent
from gdcli.studies.options import Compute
from gdcli.studies.training import layout_of, train
from tests.cli.keep.test_export_int8 import predict
from tests.grids import experiment

torchao = pytest.importorskip(
    "torchao.quantization", reason="torchao is not installed: make test-export"
)
pytestmark = pytest.mark.filterwarnings("ignore")  # torchao has its own

GRID: dict[str, Any] = {"method": "minibatch", "lr": "0.1", "epochs": "15"}
# Their largest magnitude is the level 127.5, ours 127: the same weights, on a scale a bit finer.
FINER = 127 / 127.5


@pytest.fixture(scope="module")
def trained() -> tuple[Data, torch.nn.Module, dict[str, Any]]:
    """Return digits, a network in floats that has learnt them, and its integers."""
    (trial,) = experiment("mlp", {"quantize": "ptq"}, **GRID).grid.trials
    (plain,) = experiment("mlp", **GRID).grid.trials
    rounded, problem, data = trial.problem, plain.problem, examples_of(trial)
    assert isinstance(rounded, Network)
    assert isinstance(problem, Network)
    found = train([trial], Compute(device="cpu"), Silent, keep=True).trained[trial].params
    assert found is not None
    module = module_of(problem, data)
    held: dict[str, Any] = {n: p.detach().numpy() for n, p in module.named_parameters()}
    layout = layout_of(held)
    params = layout.split(found[-1])
    module.load_state_dict({n: torch.tensor(a) for n, a in params.items()})
    return data, module, integers_of(rounded, layers_of(rounded, data), params)


def quantized(module: torch.nn.Module, config: str) -> torch.nn.Module:
    """Return a copy of a network that torchao has made integers of."""
    copy = deepcopy(module)
    torchao.quantize_(copy, getattr(torchao, config)())
    return copy


def test_weights_are_the_same_within_one_level(
    trained: tuple[Data, torch.nn.Module, dict[str, Any]],
) -> None:
    _, module, integers = trained
    names = [name.removesuffix(".scale") for name in integers if name.endswith(".scale")]
    theirs = quantized(module, "Int8WeightOnlyConfig")
    assert len(names) == 2
    for name in names:
        weight: Any = theirs.get_submodule(name).weight
        scale = weight.scale.flatten().numpy()
        np.testing.assert_allclose(scale, FINER * integers[f"{name}.scale"], rtol=1e-6)
        gaps = weight.qdata.numpy().astype(int) - integers[f"{name}.weight"]
        assert abs(gaps).max() == 1  # a finer scale rounds some weights to the next level
        assert (gaps == 0).mean() > 0.7


@pytest.mark.parametrize("part", ["train", "test"])
def test_its_integers_predict_the_same(
    trained: tuple[Data, torch.nn.Module, dict[str, Any]], part: str
) -> None:
    data, module, integers = trained
    # Its activations are rounded for each example by itself, as ours are.
    network = quantized(module, "Int8DynamicActivationInt8WeightConfig")
    x, y = (getattr(data, part)[name] for name in ("x", "y"))
    with torch.no_grad():
        theirs = network(torch.from_numpy(x).float()).argmax(1).numpy()
    ours = predict(integers, x).argmax(1)
    assert (ours == y).mean() > 0.9
    assert (theirs != ours).mean() < 0.01
    assert abs((theirs == y).mean() - (ours == y).mean()) < 0.01
