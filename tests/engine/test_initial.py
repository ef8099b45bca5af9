"""Starting points: one a seed, from keyed streams alone, with torch's own distributions."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.modules import module

from gdcli.engine.examples import examples_of
from gdcli.engine.families.family import starting_point
from gdcli.engine.sampling import stream
from gdcli.errors import UserError
from gdcli.problem import Data, Network
from tests.engine.test_contract import SMALL
from tests.grids import TRAINABLE, experiment

if TYPE_CHECKING:
    from gdcli.engine.initial import Start
    from gdcli.experiment.grid import Trial


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


@dataclass(frozen=True)
class Wide(Network):
    """A network whose layers start within the fans that they are said to have."""

    layer: nn.Module = field(default_factory=nn.Identity)

    def module(self, data: Data) -> nn.Module:
        """Return the layer in a sequence."""
        return nn.Sequential(self.layer)

    def bound(self, fan_in: int, fan_out: int) -> float:
        """Return a bound that tells one fan from the other."""
        return fan_in + 1000 * fan_out


@pytest.mark.parametrize(
    "layer", [nn.Linear(40, 300), nn.Conv2d(3, 60, (2, 7)), nn.Conv2d(4, 60, 3, groups=2)], ids=str
)
def test_a_network_may_say_the_bound(layer: nn.Linear | nn.Conv2d) -> None:
    start = starting_point(Wide(layer=layer), Data(), 0)
    fans = nn.init._calculate_fan_in_and_fan_out(layer.weight)
    bound = fans[0] + 1000 * fans[1]
    for values in start.values():
        assert 0.9 * bound < np.abs(values).max() <= bound


def test_glorots_start_is_as_wide_as_its_paper_says() -> None:
    problem = experiment("mlp", {"initial": "glorot", "hidden": "100"}).grid.trials[0].problem
    data = examples_of(experiment("mlp").grid.trials[0])
    start = starting_point(problem, data, 0)
    layer = nn.init.xavier_uniform_(torch.empty(100, 64)).numpy()
    assert np.abs(start["0.weight"]).max() == pytest.approx(np.abs(layer).max(), rel=0.01)


@dataclass(frozen=True)
class Initialised(Network):
    """A network that sets its own starting weights."""

    def module(self, data: Data) -> nn.Module:
        """Return two layers, of one of which the weights are set, of the other the biases."""
        layers = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
        nn.init.eye_(layers[0].get_parameter("weight"))
        with torch.no_grad():
            layers[1].get_parameter("bias").copy_(torch.arange(4))
        return layers


def test_what_a_module_sets_itself_stays() -> None:
    start, other = (starting_point(Initialised(), Data(), seed) for seed in (0, 1))
    assert (start["0.weight"] == np.eye(4)).all()
    assert (start["1.bias"] == np.arange(4)).all()
    for name in ("0.bias", "1.weight"):
        assert 0 < np.abs(start[name]).max() <= 0.5
        assert (start[name] != other[name]).any()


@dataclass(frozen=True)
class Assigned(Network):
    """A network with parameters of its own in layers that torch made, or copied."""

    def module(self, data: Data) -> nn.Module:
        """Return layers of which each has one parameter assigned, by the ways that there are."""
        layers = nn.ModuleDict({n: nn.Linear(3, 3) for n in ("given", "named", "again", "loaded")})
        layers["bare"] = nn.Linear(3, 3, bias=False)
        layers["copied"] = copy.deepcopy(layers["given"])
        layers["lazy"] = nn.LazyLinear(3)
        layers["lazy"](torch.zeros(1, 3))
        layers["conv"] = nn.Conv2d(3, 3, 1)
        layers["given"].weight = nn.Parameter(torch.eye(3))
        layers["named"].register_parameter("weight", nn.Parameter(torch.empty(3, 3).fill_(2)))
        del layers["again"].weight
        layers["again"].weight = nn.Parameter(torch.eye(3))
        layers["loaded"].load_state_dict({"weight": torch.eye(3)}, strict=False, assign=True)
        layers["bare"].bias = nn.Parameter(torch.zeros(3))
        layers["copied"].weight = nn.Parameter(torch.eye(3))
        layers["lazy"].bias = nn.Parameter(torch.ones(3))
        layers["conv"].bias = nn.Parameter(torch.ones(3))
        layers["conv"].scale = nn.Parameter(torch.ones(3))
        return layers


ASSIGNED = {
    **{f"{name}.weight": np.eye(3) for name in ("given", "again", "loaded", "copied")},
    "named.weight": np.full((3, 3), 2.0),
    "bare.bias": np.zeros(3),
    **{name: np.ones(3) for name in ("lazy.bias", "conv.bias", "conv.scale")},
}


@pytest.mark.parametrize("quantize", ["none", "qat"])
def test_what_a_module_assigns_stays_and_the_rest_is_drawn(
    quantize: Literal["none", "qat"],
) -> None:
    start = starting_point(Assigned(quantize=quantize), Data(), 0)
    plain, drawn = Assigned().module(Data()), start.keys() - ASSIGNED.keys()
    assert {name: start[name].tolist() for name in ASSIGNED} == {
        name: value.tolist() for name, value in ASSIGNED.items()
    }
    assert drawn == {name for name, _ in plain.named_parameters()} - ASSIGNED.keys()
    # From gdcli's stream, in float64: torch's own draws are float32.
    assert all((start[n] != start[n].astype(np.float32)).all() for n in drawn)


@dataclass(frozen=True)
class Copied(Network):
    """An encoder, whose layers torch copies, with its weights drawn after that."""

    def module(self, data: Data) -> nn.Module:
        """Return the encoder with weights of 2, but for those of its first linear layer."""
        layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
        encoder = nn.TransformerEncoder(layer, 2)
        for name, weight in encoder.named_parameters():
            if weight.ndim > 1 and "linear1" not in name:
                nn.init.constant_(weight, 2)
        return encoder


def test_what_is_set_in_a_copied_layer_stays() -> None:
    start, other = (starting_point(Copied(), Data(), seed) for seed in (0, 1))
    weights = {n: value for n, value in start.items() if value.ndim > 1}
    for name, value in weights.items():
        assert (value != other[name]).any() if "linear1" in name else (value == 2).all()


@dataclass(frozen=True)
class Parametrized(Network):
    """A layer with a weight norm."""

    def module(self, data: Data) -> nn.Module:
        """Return the layer in a sequence."""
        return nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(30, 4)))


def test_a_weight_norm_starts_as_torch_starts_it() -> None:
    start, other = (starting_point(Parametrized(), Data(), seed) for seed in (0, 1))
    size, weight = (start[f"0.parametrizations.weight.original{i}"] for i in (0, 1))
    assert size == pytest.approx(np.linalg.norm(weight, axis=1, keepdims=True), rel=1e-5)
    assert (weight != other["0.parametrizations.weight.original1"]).any()


@pytest.mark.parametrize(
    ("layer", "name"), [(nn.LazyLinear(3), "weight"), (nn.LazyBatchNorm1d(affine=False), "mean")]
)
def test_a_lazy_layer_without_a_shape_is_refused(layer: nn.Module, name: str) -> None:
    with pytest.raises(UserError, match=rf"test-initial: its 0\..*{name} has no shape yet"):
        starting_point(One(layer=layer), Data(), 0)


def test_a_parameter_that_is_not_to_be_trained_is_refused() -> None:
    layer = nn.Embedding.from_pretrained(torch.eye(3))  # type: ignore[no-untyped-call]
    with pytest.raises(UserError, match=r"its 0\.weight has requires_grad=False"):
        starting_point(One(layer=layer), Data(), 0)
    layer.requires_grad_()
    assert (starting_point(One(layer=layer), Data(), 0)["0.weight"] == np.eye(3)).all()


@dataclass(frozen=True)
class Tied(Network):
    """Layers that share a weight."""

    first_has: bool = True  # the weight, and gives it to the second

    def module(self, data: Data) -> nn.Module:
        """Return two layers, one of which has the other's weight."""
        layers = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
        giver, taker = layers if self.first_has else reversed(layers)
        taker.weight = giver.weight
        return layers


@pytest.mark.parametrize("first_has", [True, False])
def test_a_weight_that_layers_share_is_drawn(first_has: bool) -> None:  # noqa: FBT001 -- a parameter
    start = starting_point(Tied(first_has=first_has), Data(), 0)
    assert start.keys() == {"0.weight", "0.bias", "1.bias"}
    assert (start["0.weight"] != start["0.weight"].astype(np.float32)).all()


def test_no_hook_is_left_behind() -> None:
    before = dict(module._global_parameter_registration_hooks)
    starting_point(Assigned(), Data(), 0)
    with pytest.raises(ZeroDivisionError):
        starting_point(Broken(), Data(), 0)
    assert before == module._global_parameter_registration_hooks


@dataclass(frozen=True)
class Broken(Network):
    """A network that cannot be built."""

    def module(self, data: Data) -> nn.Module:
        """Raise ZeroDivisionError."""
        return nn.Linear(1 // 0, 1)


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
