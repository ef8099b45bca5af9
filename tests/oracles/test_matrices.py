"""Rules of matrices against the packages of their authors or of others."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from gdcli.optimizers.muon import Muon
from tests.optimizers.shapes import MATRICES, furthest, ours, theirs

CLOSE = 1e-10


class Double:
    """The module torch, in which a lower precision is double precision."""

    bfloat16 = float32 = torch.float64

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)


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
