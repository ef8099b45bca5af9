"""Networks that no file of gdcli holds: layers nobody knows, numbers to fit, classes that lack."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from torch import nn

from gdcli.engine.device import Torch
from gdcli.engine.examples import examples_of
from gdcli.engine.families.family import program_for
from gdcli.engine.programs.autograd import ModuleProgram
from gdcli.experiment.experiment import Experiment
from gdcli.experiment.grid import Axes, Grid
from gdcli.experiment.training import Training
from gdcli.problem import Data, Network
from tests.grids import Trained, assert_agree, train_experiment


@dataclass(frozen=True)
class Unknown(Network):
    """A network with layers that have no trial-axis form."""

    shared: bool = False  # layers stand twice

    def load(self, rng: np.random.Generator) -> Data:
        """Return three classes that no planes separate."""
        x, noise = rng.standard_normal((70, 5)), rng.standard_normal(70)
        y = np.digitize(x[:, 0] * x[:, 1] + 0.1 * noise, [-0.4, 0.4])
        return Data({"x": x[:50], "y": y[:50]}, {"x": x[50:], "y": y[50:]})

    def module(self, data: Data) -> nn.Module:
        """Return linear layers with a norm and a softplus between them."""
        if self.shared:
            again, tied = nn.ReLU(), nn.Linear(5, 5)
            return nn.Sequential(tied, again, tied, again, nn.Linear(5, 3))
        return nn.Sequential(nn.Linear(5, 7), nn.LayerNorm(7), nn.Softplus(), nn.Linear(7, 3))


@dataclass(frozen=True)
class Regression(Network):
    """A network with two outputs and squared errors; its layers are known, or not."""

    known: bool = True

    criterion = "mse"

    def load(self, rng: np.random.Generator) -> Data:
        """Return targets that are smooth in the features."""
        x = rng.standard_normal((600, 4))  # more than the engine evaluates at a time
        y = np.stack([np.sin(x[:, 0]), x[:, 1] * x[:, 2]], axis=1)
        return Data({"x": x[:550], "y": y[:550]}, {"x": x[550:], "y": y[550:]})

    def module(self, data: Data) -> nn.Module:
        """Return a layer of five between linear ones."""
        middle = nn.Tanh() if self.known else nn.Softplus()
        return nn.Sequential(nn.Linear(4, 5), middle, nn.Linear(5, 2))


@dataclass(frozen=True)
class Lacking(Unknown):
    """Four classes, of which the training and the test part lack one each, the last among them."""

    layers: int = 2

    def load(self, rng: np.random.Generator) -> Data:
        """Return the classes 0 and 1 to train on, 0 alone to test on."""
        data = super().load(rng)
        train, test = (
            {**part, "y": part["y"] % k} for part, k in ((data.train, 2), (data.test, 1))
        )
        return Data(train, test)

    def module(self, data: Data) -> nn.Module:
        """Return two linear layers, or one of them and a norm that nobody knows."""
        last = [nn.Linear(5, 4), nn.LayerNorm(4)][: self.layers]
        return nn.Sequential(nn.Linear(5, 5), nn.Tanh(), *last)


def grid_of(problem: type[Network], options: dict[str, Any], method: str) -> Experiment:
    """Return an experiment of a problem that no file of gdcli holds."""
    axes = Axes(
        method=(method,),  # type: ignore[arg-type]
        batch_size=(16,),
        optimizer=("momentum",),
        lr=(0.05, 0.01),
        seed=(0, 1),
    )
    training = Training(steps=20, record="4", dtype="float64")
    return Experiment("own", Grid(problem, options, axes, {}, (), training))


def agreed(given: Experiment) -> list[Trained]:
    """Train an experiment both ways, and return its trials if they agree."""
    found = train_experiment(given)
    assert_agree(found, train_experiment(given, engine="reference"))
    assert len(found) == 4
    return list(found.values())


@pytest.mark.parametrize("layers", [1, 2])
def test_a_part_may_lack_classes(layers: int) -> None:
    agreed(grid_of(Lacking, {"l2": 0.01, "layers": layers}, "minibatch"))


@pytest.mark.parametrize("method", ["gd", "sgd", "minibatch"])
@pytest.mark.parametrize("shared", [True, False])
def test_a_network_with_unknown_layers_is_mapped(method: str, shared: bool) -> None:  # noqa: FBT001
    given = grid_of(Unknown, {"l2": 0.01, "shared": shared}, method)
    data = examples_of(given.grid.trials[0])
    program = program_for(given.grid.trials, data, Torch("float64"))
    assert isinstance(program, ModuleProgram)
    agreed(given)


@pytest.mark.parametrize("method", ["gd", "minibatch"])
@pytest.mark.parametrize("known", [True, False])
def test_a_network_may_fit_numbers(method: str, known: bool) -> None:  # noqa: FBT001
    for run in agreed(grid_of(Regression, {"l2": 0.02, "known": known}, method)):
        assert not set(run.values) & {"train_accuracy", "test_accuracy"}
