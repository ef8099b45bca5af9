"""Rules that estimate their own step size, and the packages of their authors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dadaptation
import prodigyopt
import pytest
import torch
from prodigyopt.prodigy_reference import ProdigyReference

from gdcli.method import Method
from gdcli.optimizers.dadapt_adam import DAdaptAdam
from gdcli.optimizers.dadapt_sgd import DAdaptSGD
from gdcli.optimizers.prodigy import Prodigy
from tests.optimizers.oracle import Params, ask_of, furthest, ours, start, theirs


def in_their_words(fields: dict[str, Any]) -> dict[str, Any]:
    """Return options by the names of the packages."""
    words = {"bias_correction": "use_bias_correction"}
    found = {words.get(name, name): value for name, value in fields.items()}
    if "beta1" in found:
        found["betas"] = found.pop("beta1"), found.pop("beta2")
    return found


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize(
    ("lr", "fields"),
    [
        (1.0, {}),
        (0.5, {"beta1": 0.8, "beta2": 0.95, "d0": 1e-3}),
        (2.0, {"beta3": 0.9, "eps": 1e-3, "d_coef": 0.5, "bias_correction": True, "d0": 1e-2}),
        (1.0, {"growth_rate": 1.3, "safeguard_warmup": True, "d0": 1e-3}),
        (1.0, {"beta1": 0.1, "beta2": 0.9, "growth_rate": 1.02, "d0": 1e-4}),
    ],
)
def test_prodigy(lr: float, fields: dict[str, Any], decay: float) -> None:
    theirs_at = theirs(
        lambda params: prodigyopt.Prodigy(
            params, lr=lr, weight_decay=decay, **in_their_words(fields)
        )
    )
    assert furthest(ours(Prodigy(weight_decay=decay, **fields), lr), theirs_at) < 1e-10
    assert furthest(theirs_at, start()) > 1e-4  # it moves


def test_prodigy_without_momentum_is_that_of_the_paper() -> None:
    """Where beta1 is 0, one of the package's classes multiplies by the distance after the step."""
    mine = ours(Prodigy(beta1=0.0, d0=1e-3), 1.0)
    given: dict[str, Any] = {"lr": 1.0, "betas": (0.0, 0.999), "d0": 1e-3}
    assert furthest(mine, theirs(lambda params: ProdigyReference(params, **given))) < 1e-10
    assert furthest(mine, theirs(lambda params: prodigyopt.Prodigy(params, **given))) > 1e-6


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize(
    ("lr", "fields"),
    [
        (1.0, {}),
        (0.5, {"beta1": 0.8, "beta2": 0.95, "d0": 1e-3}),
        (2.0, {"eps": 1e-3, "bias_correction": True, "d0": 1e-2}),
        (1.0, {"growth_rate": 1.1, "d0": 1e-3}),
    ],
)
def test_dadapt_adam(lr: float, fields: dict[str, Any], decay: float) -> None:
    theirs_at = theirs(
        lambda params: dadaptation.DAdaptAdam(
            params, lr=lr, weight_decay=decay, **in_their_words(fields)
        )
    )
    assert furthest(ours(DAdaptAdam(weight_decay=decay, **fields), lr), theirs_at) < 1e-10
    assert furthest(theirs_at, start()) > 1e-4


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize(
    ("lr", "fields"),
    [
        (1.0, {}),
        (0.5, {"momentum": 0.8, "d0": 1e-3}),
        (2.0, {"momentum": 0.5, "growth_rate": 1.1, "d0": 1e-3}),
    ],
)
def test_dadapt_sgd(lr: float, fields: dict[str, Any], decay: float) -> None:
    theirs_at = theirs(
        lambda params: dadaptation.DAdaptSGD(params, lr=lr, weight_decay=decay, **fields)
    )
    assert furthest(ours(DAdaptSGD(weight_decay=decay, **fields), lr), theirs_at) < 1e-10
    assert furthest(theirs_at, start()) > 1e-4


@pytest.mark.parametrize(
    ("rule", "make"),
    [
        (Prodigy(weight_decay=0.1, d0=1e-3), prodigyopt.Prodigy),
        (DAdaptAdam(weight_decay=0.1, d0=1e-3), dadaptation.DAdaptAdam),
    ],
    ids=["prodigy", "dadapt-adam"],
)
def test_a_learning_rate_of_0_changes_nothing(rule: Method, make: Callable[..., Any]) -> None:
    """A schedule may begin or pause at 0: state and parameters stay, as in the packages."""
    rates = [0.5, 0.0, 1.0, 0.0, 0.0, *[0.7] * 10]
    mine: Params = start()
    state = rule.init(mine, ask_of(0))
    held = {name: param.requires_grad_() for name, param in start().items()}
    reference = make(list(held.values()), lr=1.0, weight_decay=0.1, d0=1e-3)
    for step, rate in enumerate(rates):
        lr = torch.tensor(rate, dtype=torch.float64)
        mine, state = rule.step(mine, state, ask_of(step), lr, step + 1)
        reference.zero_grad()
        ask_of(step).differentiable(held).backward()
        reference.param_groups[0]["lr"] = rate
        reference.step()
        assert furthest(mine, {n: p.detach() for n, p in held.items()}) < 1e-12


def test_a_first_gradient_of_0_is_passed_over() -> None:
    params = {"x": torch.zeros(2, dtype=torch.float64)}
    rule = DAdaptSGD(d0=0.1)
    state = rule.init(params, ask_of(0))
    lr = torch.tensor(1.0, dtype=torch.float64)
    for step, target in enumerate([0.0, 1.0, 1.0]):
        ask: Any = lambda at, target=target: (  # noqa: E731
            (at["x"] - target).square().sum() / 2,
            {"x": at["x"] - target},
        )
        params, state = rule.step(params, state, ask, lr, step + 1)
    assert (params["x"] > 0.1).all()
