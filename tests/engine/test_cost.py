"""A network's criterion: any loss of torch.nn.functional, on any places, in every engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from gdcli.engine.cost import Cost, check_criterion
from gdcli.engine.examples import examples_of
from gdcli.engine.initial import starting_point
from gdcli.engine.modules.penalty import penalised
from gdcli.errors import UserError
from gdcli.laws.trials import train, trials_of
from gdcli.problem import Data, Network
from gdcli.training import Training

FEW = Training(steps=3, record="1", dtype="float64")
CLASSES, PLACES, EXAMPLES = 5, 4, 24


class Second(nn.Module):
    """Puts the classes on the second axis, as torch's cross_entropy has them."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Swap the last two axes."""
        return x.movedim(-1, 1)


@dataclass(frozen=True)
class Places(Network):
    """A class at every place of a text."""

    second: bool = True
    ignored: bool = False
    normed: bool = False

    def load(self, rng: np.random.Generator) -> Data:
        x = rng.integers(0, 7, (EXAMPLES, PLACES))
        y = rng.integers(0, CLASSES, (EXAMPLES, PLACES))
        if self.ignored:
            y[rng.random(y.shape) < 0.3] = -100
        return Data({"x": x, "y": y}, {"x": x[:8], "y": y[:8]})

    def module(self, data: Data) -> nn.Module:
        norms = [nn.LayerNorm(6)] if self.normed else []
        layers = [nn.Embedding(7, 6), *norms, nn.Linear(6, CLASSES)]
        return nn.Sequential(*layers, *([Second()] if self.second else []))


def made(criterion: str, *, columns: int = 1, flat: bool = False) -> type[Network]:
    """Return a network of one linear layer with a criterion; its targets may lie in a row."""

    @dataclass(frozen=True)
    class Made(Network):
        def load(self, rng: np.random.Generator) -> Data:
            x = rng.standard_normal((EXAMPLES, 3))
            y = rng.uniform(0.1, 0.9, (EXAMPLES, columns))
            return Data({"x": x, "y": y[:, 0] if flat else y})

        def module(self, data: Data) -> nn.Module:
            return nn.Sequential(nn.Linear(3, columns), nn.Sigmoid())

    Made.criterion = criterion
    return Made


def curves(problem: type[Network], options: dict[str, Any], engine: str = "auto") -> Any:
    (curve,) = train(trials_of(problem, options, FEW), engine).values()
    return curve


@pytest.mark.parametrize(
    "options",
    [{}, {"second": False}, {"ignored": True}, {"second": False, "ignored": True}],
    ids=str,
)
def test_every_engine_scores_every_place(options: dict[str, Any]) -> None:
    ways = [curves(Places, options, engine) for engine in ("auto", "reference")]
    for name, values in ways[0].items():
        np.testing.assert_allclose(values, ways[1][name], rtol=1e-9, err_msg=name)
    other = curves(Places, {**options, "second": not options.get("second", True)})
    for name in ("train_loss", "train_accuracy", "test_accuracy"):
        np.testing.assert_allclose(ways[0][name], other[name], rtol=1e-9, err_msg=name)


def test_what_is_left_out_is_neither_right_nor_wrong() -> None:
    z = torch.eye(3)[None].repeat(2, 1, 1)  # the largest is that of the place
    y = torch.tensor([[0, 1, -100], [0, 0, 2]])
    right, counted = Cost(Places()).right(z, y)
    assert right.tolist() == [[True, True, False], [True, False, True]]
    assert counted.tolist() == [[True, True, False], [True, True, True]]


LOSSES = ["mse", "mse_loss", "smooth_l1_loss", "l1_loss", "huber_loss", "binary_cross_entropy"]


@pytest.mark.parametrize("criterion", LOSSES)
@pytest.mark.parametrize("flat", [False, True])
def test_a_loss_is_torch_s_everywhere_alike(criterion: str, *, flat: bool) -> None:
    problem = made(criterion, flat=flat)
    ways = [curves(problem, {}, engine) for engine in ("auto", "reference")]
    for name, values in ways[0].items():
        np.testing.assert_allclose(values, ways[1][name], rtol=1e-9, err_msg=name)
    z, y = torch.rand(6, 1), torch.rand(6, 1)
    name = "mse_loss" if criterion == "mse" else criterion
    cost = Cost(problem())
    assert cost(z, y[:, 0]) == getattr(functional, name)(z, y)
    assert cost.of_each(z, y).mean().item() == pytest.approx(cost(z, y).item())


@pytest.mark.parametrize(
    "criterion", ["", "mse_los", "softmax", "ctc_loss", "cosine_embedding_loss", "_loss", "dropout"]
)
def test_what_is_no_such_loss_is_refused_by_name(criterion: str) -> None:
    problem = made(criterion)
    with pytest.raises(UserError, match=f"criterion '{criterion}' is no loss"):
        check_criterion(problem(), 0)
    for engine in ("auto", "reference"):
        with pytest.raises(UserError, match="is no loss"):
            curves(problem, {}, engine)


def test_targets_that_would_be_repeated_are_refused() -> None:
    @dataclass(frozen=True)
    class Wide(Network):
        criterion = "mse"

        def load(self, rng: np.random.Generator) -> Data:
            return Data({"x": rng.standard_normal((9, 3)), "y": rng.standard_normal(9)})

        def module(self, data: Data) -> nn.Module:
            return nn.Linear(3, 2)

    with pytest.raises(UserError, match=r"outputs of shape \(2, 2\) and targets of shape \(2,\)"):
        check_criterion(Wide(), 0)


def test_the_penalty_is_on_weights_and_on_no_scale_of_a_norm() -> None:
    class RMS(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(4))

    class RMSNorm(RMS):
        """A norm of one's own."""

    norms = [nn.LayerNorm(4), nn.BatchNorm1d(4), nn.GroupNorm(2, 4), RMSNorm()]
    module = nn.Sequential(nn.Linear(4, 4), *norms, RMS(), nn.GRU(4, 2))
    assert penalised(module) == ["0.weight", "5.weight", "6.weight_ih_l0", "6.weight_hh_l0"]


@pytest.mark.parametrize("engine", ["auto", "reference"])
def test_a_norm_s_scale_is_free_in_every_engine(engine: str) -> None:
    options = {"normed": True}
    free, bound = (curves(Places, {**options, "l2": l2}, engine) for l2 in (0.0, 1.0))
    extra = bound["train_loss"][0] - free["train_loss"][0]
    (trial,) = trials_of(Places, options, FEW)
    start = starting_point(trial.problem, examples_of(trial), 0)
    squares = sum((start[name] ** 2).sum() for name in ("0.weight", "2.weight"))
    assert extra == pytest.approx(0.5 * squares)
