"""A network's criterion: any loss of torch.nn.functional, on any places, in every engine."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from gdcli.engine.criteria import TrialCriterion, check_criterion
from gdcli.engine.examples import examples_of
from gdcli.engine.families import footprint as footprints
from gdcli.engine.families.family import starting_point
from gdcli.engine.layers.modules import penalised
from gdcli.errors import UserError
from gdcli.experiment.training import Training
from gdcli.laws.law import train, trials_of
from gdcli.problem import Data, Network

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    right, counted = TrialCriterion(Places()).right(z, y)
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
    cost = TrialCriterion(problem())
    assert cost(z, y[:, 0]) == getattr(functional, name)(z, y)
    assert cost.of_each(z, y).mean().item() == pytest.approx(cost(z, y).item())


def twice(z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """A user's own loss."""
    return 2 * functional.mse_loss(z, y)


WEIGHT = torch.tensor([0.2, 1.0, 5.0])
GIVEN: list[tuple[Any, str]] = [
    (functional.smooth_l1_loss, "numbers"),
    (partial(functional.huber_loss, delta=0.1), "numbers"),
    (nn.HuberLoss(delta=0.1), "numbers"),
    (nn.MSELoss(reduction="sum"), "numbers"),
    (twice, "numbers"),
    (nn.BCEWithLogitsLoss(pos_weight=WEIGHT), "several"),
    (nn.KLDivLoss(reduction="batchmean"), "numbers"),
    (nn.CrossEntropyLoss(weight=WEIGHT, label_smoothing=0.1), "classes"),
    (partial(functional.cross_entropy, weight=WEIGHT), "classes"),
    (nn.CrossEntropyLoss(ignore_index=1), "classes"),
    (nn.MultiMarginLoss(), "classes"),
]


def given(criterion: Any, kind: str) -> type[Network]:
    """Return a network with a criterion that is not a name, on targets of a kind."""

    @dataclass(frozen=True)
    class Given(Network):
        def load(self, rng: np.random.Generator) -> Data:
            y = {
                "numbers": rng.uniform(0.1, 0.9, (EXAMPLES, 3)),
                "several": rng.integers(0, 2, (EXAMPLES, 3)),
                "classes": np.sort(rng.integers(0, 3, EXAMPLES)),
            }[kind]
            x = rng.standard_normal((EXAMPLES, 3))
            return Data({"x": x, "y": y}, {"x": x[:5], "y": y[:5]})

        def module(self, data: Data) -> nn.Module:
            return nn.Sequential(nn.Linear(3, 3), nn.Sigmoid())

    Given.criterion = criterion
    return Given


def descended(problem: Network, data: Data, criterion: Any) -> list[float]:
    """Return the losses of three steps that a loop of torch's takes."""
    module = problem.module(data).double()
    start = starting_point(problem, data, 0)
    module.load_state_dict({name: torch.from_numpy(array) for name, array in start.items()})
    x, y = (torch.from_numpy(data.train[name]) for name in ("x", "y"))
    if y.ndim == 2:
        y = y.double()
    rule, losses = torch.optim.SGD(module.parameters(), lr=0.1), []
    for _ in range(4):
        rule.zero_grad()
        loss = criterion(module(x), y)
        losses.append(loss.item())
        loss.backward()
        rule.step()
    return losses


@pytest.mark.filterwarnings("ignore:There is a performance drop")  # of kl_div without a gradient
@pytest.mark.parametrize("small", [False, True])
@pytest.mark.parametrize(("criterion", "kind"), GIVEN)
def test_a_criterion_that_is_given_is_torch_s_in_every_engine(
    monkeypatch: pytest.MonkeyPatch, criterion: Any, kind: str, *, small: bool
) -> None:
    if small:
        for name in ("WHOLE", "PIECE"):
            monkeypatch.setattr(footprints, name, 200)
    problem = given(criterion, kind)
    check_criterion(problem(), 0)
    ways = [curves(problem, {}, engine) for engine in ("auto", "reference")]
    for name, values in ways[0].items():
        np.testing.assert_allclose(values, ways[1][name], rtol=1e-9, err_msg=name)
    (trial,) = trials_of(problem, {}, FEW)
    with in_double(criterion) as double:
        expected = descended(problem(), examples_of(trial), double)
    np.testing.assert_allclose(ways[0]["train_loss"], expected, rtol=1e-9)
    assert ("train_accuracy" in ways[0]) == ("entropy" in str(criterion).lower())


@contextmanager
def in_double(criterion: Any) -> Iterator[Any]:
    """Have the weights of a criterion in double precision, as torch wants them."""
    if isinstance(criterion, partial) and "weight" in criterion.keywords:
        yield partial(criterion.func, weight=WEIGHT.double())
    elif isinstance(criterion, nn.Module):
        yield criterion.double()
        criterion.float()
    else:
        yield criterion


def test_a_criterion_may_be_a_method() -> None:
    class Own(made("mse")):  # type: ignore[misc]
        def criterion(self, z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return functional.mse_loss(z, y)

    assert np.array_equal(curves(Own, {})["train_loss"], curves(made("mse_loss"), {})["train_loss"])


@pytest.mark.parametrize(
    ("criterion", "kind", "said"),
    [
        (nn.MSELoss(reduction="none"), "numbers", r"gives \(2, 3\), which is not a mean"),
        (functional.gaussian_nll_loss, "numbers", "gaussian_nll_loss cannot be computed"),
        (lambda z, y: functional.mse_loss(z, y[:, :1]), "numbers", "Using a target size"),
        (nn.MSELoss(), "classes", r"outputs of shape \(2, 3\) and targets of shape \(2,\)"),
        (3, "numbers", "criterion '3' is none"),
    ],
)
def test_a_criterion_that_is_no_mean_is_refused(criterion: Any, kind: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        check_criterion(given(criterion, kind)(), 0)


def test_a_target_that_the_loss_does_not_take_is_refused() -> None:
    class Beyond(made("binary_cross_entropy")):  # type: ignore[misc]
        def load(self, rng: np.random.Generator) -> Data:
            data = super().load(rng)
            return Data({"x": data.train["x"], "y": 2 + data.train["y"]})

    with pytest.raises(UserError, match="binary_cross_entropy cannot be computed"):
        check_criterion(Beyond(), 0)


def test_what_a_criterion_makes_of_each_example_has_its_mean() -> None:
    z, y = torch.rand(6, 3), torch.rand(6, 3)
    for criterion, kind in GIVEN:
        if kind == "numbers" and getattr(criterion, "reduction", "mean") == "mean":
            cost = TrialCriterion(given(criterion, kind)())
            assert cost.of_each(z, y).mean().item() == pytest.approx(cost(z, y).item())


@pytest.mark.parametrize("y", [None, np.array(["a", "b"] * 6)])
def test_targets_that_are_no_numbers_are_refused(y: Any) -> None:
    class Named(made("mse")):  # type: ignore[misc]
        def load(self, rng: np.random.Generator) -> Data:
            x = rng.standard_normal((12, 3))
            return Data({"x": x} if y is None else {"x": x, "y": y})

    with pytest.raises(UserError, match='no "y"' if y is None else "targets of type <U1"):
        check_criterion(Named(), 0)


@pytest.mark.parametrize("wrong", [CLASSES, -1])
def test_a_class_without_an_output_is_refused(wrong: int) -> None:
    class Wrong(Places):
        def load(self, rng: np.random.Generator) -> Data:
            data = super().load(rng)
            data.train["y"][-1, -1] = wrong
            return data

    with pytest.raises(UserError, match=f"cross_entropy has the class {wrong}: the classes are 0"):
        check_criterion(Wrong(), 0)


@pytest.mark.parametrize("criterion", ["huber_loss", "binary_cross_entropy"])
@pytest.mark.parametrize("dtype", [np.int64, np.uint8, bool])
def test_targets_may_be_integers_where_the_loss_wants_numbers(criterion: str, dtype: Any) -> None:
    class Whole(made(criterion)):  # type: ignore[misc]
        def load(self, rng: np.random.Generator) -> Data:
            data = super().load(rng)
            return Data({"x": data.train["x"], "y": (data.train["y"] > 0.5).astype(dtype)})

    class Floats(Whole):
        def load(self, rng: np.random.Generator) -> Data:
            data = super().load(rng)
            return Data({"x": data.train["x"], "y": data.train["y"].astype(float)})

    for engine in ("auto", "reference"):
        whole, floats = (curves(kind, {}, engine)["train_loss"] for kind in (Whole, Floats))
        np.testing.assert_allclose(whole, floats, rtol=1e-12)


@pytest.mark.parametrize(
    "criterion", ["", "mse_los", "softmax", "ctc_loss", "cosine_embedding_loss", "_loss", "dropout"]
)
def test_what_is_no_such_loss_is_refused_by_name(criterion: str) -> None:
    problem = made(criterion)
    with pytest.raises(UserError, match=f"criterion '{criterion}' is not a loss"):
        check_criterion(problem(), 0)
    for engine in ("auto", "reference"):
        with pytest.raises(UserError, match="is not a loss"):
            curves(problem, {}, engine)


def test_a_module_that_changes_its_examples_is_refused() -> None:
    class Changing(made("mse")):  # type: ignore[misc]
        def module(self, data: Data) -> nn.Module:
            return nn.Sequential(nn.ReLU(inplace=True), super().module(data))

    class Copying(made("mse")):  # type: ignore[misc]
        def module(self, data: Data) -> nn.Module:
            return nn.Sequential(nn.ReLU(), super().module(data), nn.ReLU(inplace=True))

    check_criterion(Copying(), 0)
    with pytest.raises(UserError, match="its module changes the examples in place"):
        check_criterion(Changing(), 0)


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
