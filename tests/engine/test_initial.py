"""Starting points: one a seed, from keyed streams alone, with torch's own distributions."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch
from torch import nn

from gdcli.engine.examples import examples_of
from gdcli.engine.initial import Start, starting_point
from gdcli.engine.streams import stream
from gdcli.grid import Trial
from gdcli.problem import Data, Network
from tests.engine.test_contract import SMALL
from tests.grids import TRAINABLE, experiment


def trial_of(problem: str) -> Trial:
    """Return a small trial of a problem."""
    return experiment(problem, SMALL.get(problem, {})).grid.trials[0]


def same(a: Start, b: Start) -> bool:
    """Return whether two starting points have the same bits."""
    return a.keys() == b.keys() and all(a[n].tobytes() == b[n].tobytes() for n in a)


@pytest.mark.parametrize("name", TRAINABLE)
def test_a_start_depends_on_its_seed_alone(name: str) -> None:
    problem, data = trial_of(name).problem, examples_of(trial_of(name))
    torch.manual_seed(1)
    first = starting_point(problem, data, 3)
    torch.manual_seed(2)
    np.random.seed(2)  # noqa: NPY002 -- whatever else draws from the global generators
    assert same(first, starting_point(problem, data, 3))
    assert all(value.dtype == np.float64 for value in first.values())
    assert all(np.isfinite(value).all() for value in first.values())


@pytest.mark.parametrize("name", ["cnn", "linear-regression", "matrix-factorization", "mlp"])
def test_seeds_start_elsewhere(name: str) -> None:
    problem, data = trial_of(name).problem, examples_of(trial_of(name))
    assert not same(starting_point(problem, data, 3), starting_point(problem, data, 4))


@pytest.mark.parametrize("name", ["matrix-factorization", "quadratic", "softmax-regression"])
def test_a_problem_that_draws_for_itself_has_the_start_stream(name: str) -> None:
    problem, data = trial_of(name).problem, examples_of(trial_of(name))
    expected = problem.init(stream(name, 5, "start"), data)
    assert same(starting_point(problem, data, 5), expected)


def test_torchs_global_stream_is_left_as_it_was() -> None:
    trial = trial_of("mlp")
    before = torch.get_rng_state()
    starting_point(trial.problem, examples_of(trial), 0)
    assert torch.equal(torch.get_rng_state(), before)


def moments(values: np.ndarray) -> tuple[float, float, float]:
    """Return a sample's largest size, mean and standard deviation."""
    return np.abs(values).max(), values.mean(), values.std()


@pytest.mark.parametrize(
    ("layer", "shape"),
    [(nn.Linear(40, 300), (300, 40)), (nn.Conv2d(3, 60, (2, 7)), (60, 3, 2, 7))],
    ids=["linear", "conv2d"],
)
def test_known_layers_draw_as_torch_draws(layer: nn.Module, shape: tuple[int, ...]) -> None:
    start = starting_point(One(layer=layer), Data(), 0)
    bound = torch.Size(shape[1:]).numel() ** -0.5
    assert set(start) == {"0.weight", "0.bias"}
    assert start["0.weight"].shape == shape
    assert start["0.bias"].shape == shape[:1]
    for name, values in start.items():
        largest, mean, deviation = moments(values)
        theirs, _, _ = moments(layer.get_parameter(name[2:]).detach().numpy())
        assert 0.9 * bound < largest <= bound
        assert 0.9 * bound < theirs <= bound * (1 + 1e-6)
        assert abs(mean) < 4 * bound / (3 * values.size) ** 0.5
        assert deviation == pytest.approx(bound / 3**0.5, rel=0.15)


def test_a_layer_that_nobody_knows_starts_as_it_wants() -> None:
    problem = Own()
    torch.manual_seed(1)
    start = starting_point(problem, Data(), 0)
    torch.manual_seed(2)
    again = starting_point(problem, Data(), 0)
    assert same(start, again)
    assert list(start) == [name for name, _ in problem.module(Data()).named_parameters()]
    assert (start["norm.weight"] == 1).all()
    assert moments(start["gate.weight"])[0] > 0  # drawn by nn.Bilinear, from torch's stream
    assert (starting_point(problem, Data(), 1)["gate.weight"] != start["gate.weight"]).any()


def test_layers_inside_layers_draw_each_their_own() -> None:
    start = starting_point(Own(), Data(), 0)
    inner, outer = start["inner.0.weight"], start["outer.weight"]
    assert inner.shape == outer.shape
    assert (inner != outer).all()


def test_trials_of_a_seed_start_at_one_point_whatever_their_other_settings() -> None:
    trial = trial_of("mlp")
    data = examples_of(trial)
    assert isinstance(trial.problem, Network)
    other = replace(trial.problem, l2=0.5)
    assert same(starting_point(other, data, 1), starting_point(trial.problem, data, 1))


@dataclass(frozen=True)
class One(Network):
    """A network of one layer."""

    layer: nn.Module = field(default_factory=nn.Identity)

    def module(self, data: Data) -> nn.Module:
        """Return the layer in a sequence."""
        return nn.Sequential(self.layer)


@dataclass(frozen=True)
class Own(Network):
    """A network of known and unknown layers."""

    def module(self, data: Data) -> nn.Module:
        """Return a module that is no sequence."""
        return nn.ModuleDict(
            {
                "inner": nn.Sequential(nn.Linear(4, 4)),
                "outer": nn.Linear(4, 4),
                "gate": nn.Bilinear(4, 4, 2),
                "norm": nn.LayerNorm(4),
            }
        )
