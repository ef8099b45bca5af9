"""Rules that see a parameter as one tensor against packages that nobody here wrote."""

from __future__ import annotations

from typing import Any

import optax
import pytest
import pytorch_optimizer
import torch
from pytorch_optimizer.optimizer import adam_mini

from gdcli.optimizers.adafactor import Adafactor
from gdcli.optimizers.adam_mini import AdamMini
from gdcli.optimizers.lamb import Lamb
from gdcli.optimizers.lars import Lars
from gdcli.optimizers.novograd import NovoGrad
from tests.optimizers.oracle import furthest
from tests.optimizers.shapes import (
    MATRICES,
    SHAPES,
    STEPS,
    Params,
    bowl,
    ours,
    start,
    theirs,
)
from tests.oracles import in_optax
from tests.oracles.double import Double

CLOSE = 1e-10


def of_optax(make: Any) -> Params:
    """Return where a rule of optax ends."""
    return in_optax.theirs(make, STEPS, params=start(), ask=lambda step: bowl(step + 1))


# The words and all matrices; vectors have no weight decay in pytorch_optimizer.
WHOLE = (*MATRICES, "words")


@pytest.mark.parametrize(
    ("mine", "given", "names"),
    [
        ({}, {}, (*WHOLE, "bias", "scale")),
        ({"trust": 0.02}, {"trust_coefficient": 0.02}, (*WHOLE, "bias", "scale")),
        (
            {"beta": 0.6, "nesterov": True, "weight_decay": 0.1},
            {"momentum": 0.6, "nesterov": True, "weight_decay": 0.1},
            WHOLE,
        ),
        ({"beta": 0.0, "weight_decay": 0.3}, {"momentum": 0.0, "weight_decay": 0.3}, WHOLE),
    ],
)
def test_lars(mine: Any, given: Any, names: Any) -> None:
    reference = theirs(lambda ps: pytorch_optimizer.LARS(ps, lr=0.05, **given), names)
    assert furthest(ours(Lars(**mine), 0.05, names), reference) < CLOSE


@pytest.mark.parametrize(
    ("mine", "given"),
    [
        ({}, {}),
        ({"beta1": 0.8, "beta2": 0.9, "eps": 1e-3}, {"b1": 0.8, "b2": 0.9, "eps": 1e-3}),
        ({"weight_decay": 0.1}, {"weight_decay": 0.1}),
    ],
)
def test_lamb(mine: Any, given: Any) -> None:
    reference = of_optax(optax.lamb(0.02, **given))
    assert furthest(ours(Lamb(**mine), 0.02), reference) < CLOSE


@pytest.mark.parametrize(
    ("mine", "given"),
    [
        ({}, {}),
        (
            {"beta1": 0.8, "beta2": 0.9, "eps": 1e-3, "weight_decay": 0.1},
            {"betas": (0.8, 0.9), "eps": 1e-3, "weight_decay": 0.1},
        ),
        ({"averaged": True, "weight_decay": 0.02}, {"grad_averaging": True, "weight_decay": 0.02}),
    ],
)
def test_novograd(mine: Any, given: Any) -> None:
    def make(ps: Any) -> Any:
        return pytorch_optimizer.NovoGrad(ps, lr=0.02, **{"weight_decouple": False, **given})

    assert furthest(ours(NovoGrad(**mine), 0.02), theirs(make)) < CLOSE


@pytest.mark.parametrize(
    ("mine", "given", "lr"),
    [
        ({}, {}, 0.01),
        ({"weight_decay": 0.1}, {"weight_decay": 0.1}, 0.5),
        ({"decay": 0.5, "clip": 1.5}, {"beta2_decay": -0.5, "d": 1.5}, 0.1),
        ({"eps": 0.3, "smallest": 0.9}, {"eps": (0.3, 0.9)}, 0.05),
    ],
)
def test_adafactor(mine: Any, given: Any, lr: float) -> None:
    reference = theirs(lambda ps: torch.optim.Adafactor(ps, lr=lr, **given))
    assert furthest(ours(Adafactor(**mine), lr), reference) < CLOSE


@pytest.mark.parametrize(
    ("mine", "given"),
    [
        ({}, {"weight_decay": 0.0}),
        (
            {"beta1": 0.8, "beta2": 0.9, "eps": 1e-3, "weight_decay": 0.1},
            {"betas": (0.8, 0.9), "eps": 1e-3, "weight_decay": 0.1},
        ),
    ],
)
def test_adam_mini(mine: Any, given: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adam_mini, "torch", Double())
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)

    def make(ps: list[torch.Tensor]) -> Any:
        # Matrices have a name of attention: only then they are divided into rows.
        model = torch.nn.Module()
        for name, p in zip(SHAPES, ps, strict=True):
            inner = torch.nn.Module()
            inner.register_parameter("weight", torch.nn.Parameter(p))
            model.add_module(f"{name}_q_proj" if p.ndim > 1 else f"{name}_rest", inner)
        optimizer = adam_mini.AdamMini(model, lr=0.02, **given)
        for group, p in zip(optimizer.param_groups, ps, strict=True):
            group["params"] = [p]
            if p.ndim > 1:
                group["parameter_per_head"] = p.shape[1]
        return optimizer

    try:
        reference = theirs(make, flat=True)
    finally:
        torch.set_default_dtype(before)
    assert furthest(ours(AdamMini(**mine), 0.02), reference) < CLOSE
