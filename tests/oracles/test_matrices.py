"""Rules of matrices against the packages of their authors or of others."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import torch
from pytorch_optimizer.optimizer import scion
from pytorch_optimizer.optimizer.muon import normuon
from pytorch_optimizer.optimizer.utils import matrix

from gdcli.optimizers.muon import Muon
from gdcli.optimizers.nor_muon import NorMuon
from gdcli.optimizers.scion import Scion
from gdcli.optimizers.spectral_descent import SpectralDescent
from tests.optimizers.shapes import MATRICES, SHAPES, furthest, ours, theirs

CLOSE = 1e-10


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


def test_muon_in_bfloat16_is_near() -> None:
    reference = theirs(lambda ps: torch.optim.Muon(ps, lr=0.02), MATRICES, flat=True)
    apart = furthest(ours(Muon(), 0.02, MATRICES), reference)
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
