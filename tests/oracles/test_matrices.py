"""Rules of matrices against the packages of their authors or of others."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
import pytorch_optimizer
import scipy.linalg
import torch
from pytorch_optimizer.optimizer import psgd, scion, shampoo, soap
from pytorch_optimizer.optimizer.muon import normuon
from pytorch_optimizer.optimizer.utils import matrix

from gdcli.catalog.catalog import OPTIMIZERS
from gdcli.optimizers.muon import Muon
from gdcli.optimizers.normuon import NorMuon
from gdcli.optimizers.psgd_kron import PsgdKron
from gdcli.optimizers.scion import Scion
from gdcli.optimizers.shampoo import Shampoo
from gdcli.optimizers.soap import Soap
from gdcli.optimizers.spectral_descent import SpectralDescent
from tests.optimizers.oracle import furthest
from tests.optimizers.shapes import MATRICES, SHAPES, bowl, ours, start, theirs
from tests.oracles.double import Double

CLOSE = 1e-10
MORE_THAN_ROWS = tuple(name for name in SHAPES if name != "row")  # Shampoo has it as a vector


@pytest.fixture
def exact_torch_muon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the cast to bfloat16 of torch.optim.Muon."""
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)


MUONS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {"weight_decay": 0.1}),
    ({"weight_decay": 0.0, "nesterov": False}, {"weight_decay": 0.0, "nesterov": False}),
    (
        {"beta": 0.8, "adjust": "match_rms_adamw", "weight_decay": 0.5},
        {"momentum": 0.8, "adjust_lr_fn": "match_rms_adamw", "weight_decay": 0.5},
    ),
    (
        {"coefficients": (2.0, -1.5, 0.5), "iterations": 8, "eps": 2.0, "weight_decay": 0.0},
        {"ns_coefficients": (2.0, -1.5, 0.5), "ns_steps": 8, "eps": 2.0, "weight_decay": 0.0},
    ),
]


@pytest.mark.usefixtures("exact_torch_muon")
@pytest.mark.parametrize(("mine", "given"), MUONS)
def test_muon_is_that_of_torch_without_its_bfloat16(mine: Any, given: Any) -> None:
    reference = theirs(lambda ps: torch.optim.Muon(ps, lr=0.02, **given), MATRICES, flat=True)
    assert furthest(ours(Muon(**mine), 0.02, MATRICES), reference) < CLOSE


@pytest.mark.usefixtures("exact_torch_muon")
def test_muon_with_adamw_for_the_rest_is_both_of_torch() -> None:
    """With match_rms_adamw and weight decay of all parameters this is called D-Muon."""
    options: dict[str, Any] = {
        "weight_decay": 0.1,
        "muon__adjust": "match_rms_adamw",
        "adamw__beta2": 0.95,
    }
    rule: Any = OPTIMIZERS.find("muon+adamw", "")(**options)
    muon: dict[str, Any] = {"weight_decay": 0.1, "adjust_lr_fn": "match_rms_adamw"}
    found = ours(rule, 0.02)
    matrices = theirs(lambda ps: torch.optim.Muon(ps, lr=0.02, **muon), MATRICES, flat=True)
    rest = tuple(name for name in SHAPES if name not in MATRICES)
    adamw: dict[str, Any] = {"weight_decay": 0.1, "betas": (0.9, 0.95)}
    others = theirs(lambda ps: torch.optim.AdamW(ps, lr=0.02, **adamw), rest)
    assert furthest(found, {name: {**matrices, **others}[name] for name in SHAPES}) < CLOSE


@pytest.mark.parametrize("precision", ["own", "bfloat16"])
def test_muon_is_near_that_of_torch_in_bfloat16(precision: Any) -> None:
    reference = theirs(lambda ps: torch.optim.Muon(ps, lr=0.02), MATRICES, flat=True)
    apart = furthest(ours(Muon(precision=precision), 0.02, MATRICES), reference)
    assert 1e-6 < apart < 0.05


@pytest.fixture
def exact_schulz(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the casts to bfloat16 of pytorch_optimizer."""
    exact = partial(matrix.zero_power_via_newton_schulz_5, dtype=torch.float64)
    for module in (normuon, scion):
        monkeypatch.setattr(module, "zero_power_via_newton_schulz_5", exact)


@pytest.mark.usefixtures("exact_schulz")
@pytest.mark.parametrize(
    ("mine", "given"),
    [
        ({}, {}),
        (
            {"beta1": 0.8, "beta2": 0.5, "nesterov": False, "weight_decay": 0.1},
            {"momentum": 0.8, "beta2": 0.5, "nesterov": False, "weight_decay": 0.1},
        ),
        (
            {"scale": "rms", "iterations": 3, "coefficients": (2.0, -1.5, 0.5), "eps": 1e-3},
            {
                "update_scale": "match_rms",
                "ns_steps": 3,
                "ns_coeffs": (2.0, -1.5, 0.5),
                "eps": 1e-3,
            },
        ),
    ],
)
def test_nor_muon(mine: Any, given: Any) -> None:
    def make(ps: Any) -> Any:
        return normuon.NorMuon([{"params": ps, "use_muon": True}], lr=0.02, foreach=False, **given)

    reference = theirs(make, MATRICES, flat=True)
    assert furthest(ours(NorMuon(**mine), 0.02, MATRICES), reference) < CLOSE


@pytest.mark.usefixtures("exact_schulz")
@pytest.mark.parametrize(
    ("mine", "given"),
    [
        ({}, {}),
        (
            {"fresh": 0.3, "radius": 5.0, "weight_decay": 0.1},
            {"momentum": 0.3, "scale": 5.0, "weight_decay": 0.1},
        ),
        (
            {"fresh": 1.0, "radius": 5.0, "constrained": True},
            {"momentum": 1.0, "scale": 5.0, "constraint": True},
        ),
    ],
)
def test_scion(mine: Any, given: Any) -> None:
    names = tuple(SHAPES)

    def make(ps: Any) -> Any:
        tokens = {"norm_type": scion.LMONorm.COL, "norm_kwargs": {"transpose": True}}
        groups = [
            {"params": [p], **(tokens if name == "words" else {})}
            for name, p in zip(names, ps, strict=True)
        ]
        return scion.SCION(groups, lr=0.02, foreach=False, **given)

    assert furthest(ours(Scion(**mine), 0.02, names), theirs(make, names)) < CLOSE


class Steepest(torch.optim.SGD):
    """Descent along the polar factor that scipy finds, times numpy's nuclear norm."""

    dual = True

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for p in self.param_groups[0]["params"]:
            grad = p.grad.flatten(1).numpy()
            factor = np.linalg.norm(grad, "nuc") if self.dual else 1.0
            p.grad = torch.from_numpy(factor * scipy.linalg.polar(grad)[0]).view_as(p)
        super().step()


class SteepestOfLengthOne(Steepest):
    """The same without the norm."""

    dual = False


@pytest.mark.parametrize("reference", [Steepest, SteepestOfLengthOne])
def test_spectral_descent(reference: type[Steepest]) -> None:
    end = theirs(lambda ps: reference(ps, lr=0.02), MATRICES)
    rule = SpectralDescent(dual=reference.dual)
    assert furthest(ours(rule, 0.02, MATRICES), end) < CLOSE


def test_spectral_descent_leaves_out_what_has_no_slope() -> None:
    grad = torch.zeros(3, 4, dtype=torch.float64)
    grad[:2, :2] = torch.tensor([[1.0, 2.0], [2.0, 4.0]])  # rank 1
    expected = grad / torch.linalg.matrix_norm(grad, 2)
    torch.testing.assert_close(SpectralDescent(dual=False).steepest(grad), expected)


@pytest.mark.parametrize(
    ("mine", "given"),
    [
        ({"eps": 1e-3}, {"matrix_eps": 1e-3}),
        ({"eps": 0.1, "weight_decay": 0.1}, {"matrix_eps": 0.1, "weight_decay": 0.1}),
        (
            {"eps": 0.1, "every": 7},
            {"matrix_eps": 0.1, "preconditioning_compute_steps": 7},
        ),
    ],
)
def test_shampoo(mine: Any, given: Any) -> None:
    every = given.get("preconditioning_compute_steps", 1)

    def before(optimizer: Any, step: int) -> None:
        # Without this its roots are 0 up to step `every`.
        optimizer.preconditioning_compute_steps = 1 if step <= every else every

    def make(ps: Any) -> Any:
        return pytorch_optimizer.Shampoo(ps, lr=0.1, **given)

    reference = theirs(make, MORE_THAN_ROWS, flat=True, before=before)
    assert furthest(ours(Shampoo(**mine), 0.1, MORE_THAN_ROWS), reference) < CLOSE


def test_shampoo_with_another_exponent(monkeypatch: pytest.MonkeyPatch) -> None:
    root = matrix.compute_power_svd
    monkeypatch.setattr(shampoo, "compute_power_svd", lambda m, p: root(m, p / 2))

    def make(ps: Any) -> Any:
        return pytorch_optimizer.Shampoo(ps, lr=0.1, matrix_eps=0.1)

    reference = theirs(make, MORE_THAN_ROWS, flat=True)
    rule = Shampoo(exponent=0.5, eps=0.1)
    assert furthest(ours(rule, 0.1, MORE_THAN_ROWS), reference) < CLOSE


def test_shampoo_of_a_long_side_has_one_factor_with_twice_the_exponent() -> None:
    grad = start(("wide",))["wide"]
    rule = Shampoo(largest=6, eps=1e-3)
    state = rule.init({"wide": grad}, bowl())
    assert list(state["sum"]["wide"]) == ["left"]
    ask = bowl(names=("wide",))
    ask.goal, ask.curvature = {"wide": 0 * grad}, {"wide": 1 + 0 * grad}
    found, _ = rule.direction({"wide": grad}, state, ask, torch.tensor(0.1), 1)
    full = 1e-3 * np.eye(len(grad)) + (grad @ grad.T).numpy()
    expected = np.linalg.solve(scipy.linalg.sqrtm(full), grad.numpy())
    torch.testing.assert_close(found["wide"], torch.from_numpy(expected))


@pytest.mark.parametrize(
    ("mine", "given"),
    [
        ({"weight_decay": 0.0}, {}),
        (
            # Short sides alone: the matrices of others are singular at first.
            {"beta1": 0.8, "beta2": 0.9, "every": 1, "largest": 6, "weight_decay": 0.0},
            {"betas": (0.8, 0.9), "precondition_frequency": 1, "max_precondition_dim": 6},
        ),
        (
            {"beta3": 0.7, "every": 3, "weight_decay": 0.1, "largest": 6, "eps": 1e-3},
            {
                "shampoo_beta": 0.7,
                "precondition_frequency": 3,
                "max_precondition_dim": 6,
                "eps": 1e-3,
            },
        ),
    ],
)
def test_soap(mine: Any, given: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soap, "torch", Double())

    def make(ps: Any) -> Any:
        return soap.SOAP(ps, lr=0.02, **{"weight_decay": 0.0, **given})

    names = tuple(SHAPES) if "largest" in mine else ("square", "bias", "vector")
    reference = theirs(make, names, flat=True, shrink=0.02 * mine["weight_decay"])
    assert furthest(ours(Soap(**mine), 0.02, names), reference) < CLOSE


@pytest.mark.parametrize(
    ("mine", "given"),
    [
        ({}, {"pre_conditioner_update_probability": 1.0}),
        (
            {"beta": 0.7, "every": 3, "balance": 6, "largest": 6},
            {
                "momentum": 0.7,
                "pre_conditioner_update_probability": 1 / 3,
                "max_size_triangular": 6,
            },
        ),
        ({"weight_decay": 0.1}, {"pre_conditioner_update_probability": 1.0}),
    ],
)
def test_psgd_kron(mine: Any, given: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    names = tuple(SHAPES)
    drawn: list[torch.Tensor] = []

    class Noise(Double):
        """The module torch, whose normal numbers are the signs of the step."""

        def randn_like(self, x: torch.Tensor, **_: Any) -> torch.Tensor:
            return drawn.pop(0).view(x.shape)

    chances = [1.0]
    monkeypatch.setattr(psgd, "torch", Noise())
    monkeypatch.setattr(np.random, "random", lambda: chances[0])

    def before(_: Any, step: int) -> None:
        drawn[:] = bowl(step, names).random.values()
        chances[0] = float(step % mine.get("balance", 100) != 0)

    def make(ps: Any) -> Any:
        return psgd.Kron(ps, lr=0.02, precondition_dtype=torch.float64, **given)

    shrink = 0.02 * mine.get("weight_decay", 0.0)
    reference = theirs(make, names, flat=True, before=before, shrink=shrink)
    assert furthest(ours(PsgdKron(**mine), 0.02, names), reference) < CLOSE
