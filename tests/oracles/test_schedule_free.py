"""Schedule-Free rules, and the package of their authors: both points of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import schedulefree
import torch
from schedulefree.adamw_schedulefree_reference import AdamWScheduleFreeReference
from torch import Tensor

from gdcli.optimizers.schedule_free_adamw import ScheduleFreeAdamW
from gdcli.optimizers.schedule_free_radam import ScheduleFreeRAdam
from gdcli.optimizers.schedule_free_sgd import ScheduleFreeSGD
from tests.optimizers.oracle import STEPS, Params, ask_of, furthest, start

if TYPE_CHECKING:
    from collections.abc import Callable

    from gdcli.method import Method

DECAYS = pytest.mark.parametrize("decay", [0.0, 0.1])
Points = tuple[Params, Params]  # at which gradients are taken, and handed out


def ours(rule: Method, rates: list[float]) -> Points:
    """Return both points of a rule after steps of the given learning rates."""
    params = start()
    state = rule.init(params, ask_of(0))
    for step, rate in enumerate(rates):
        lr = torch.tensor(rate, dtype=torch.float64)
        params, state = rule.step(params, state, ask_of(step), lr, step + 1)
    return params, rule.at(params, state)


def theirs(make: Callable[[list[Tensor]], Any], rates: list[float]) -> Points:
    """Return both points of an optimizer of the package."""
    params = {name: param.requires_grad_() for name, param in start().items()}

    def copied() -> Params:
        return {name: param.detach().clone() for name, param in params.items()}

    optimizer = make(list(params.values()))
    optimizer.train()
    for step, rate in enumerate(rates):
        optimizer.zero_grad()
        ask_of(step).differentiable(params).backward()  # type: ignore[no-untyped-call]
        optimizer.param_groups[0]["lr"] = rate
        optimizer.step()
    training = copied()
    optimizer.eval()
    return training, copied()


def compare(rule: Method, make: Callable[[list[Tensor]], Any], rates: list[float]) -> None:
    mine, reference = ours(rule, rates), theirs(make, rates)
    for a, b in zip(mine, reference, strict=True):
        assert furthest(a, b) < 1e-10
        assert furthest(b, start()) > 1e-3
    assert furthest(*reference) > 1e-4  # the points differ


def in_their_words(fields: dict[str, Any], decay: float) -> dict[str, Any]:
    """Return options by the names of the package."""
    found = {"weight_decay": decay, **fields}
    if "beta" in found:
        found["momentum"] = found.pop("beta")
    if "beta1" in found or "beta2" in found:
        found["betas"] = found.pop("beta1", 0.9), found.pop("beta2", 0.999)
    return found


@DECAYS
@pytest.mark.parametrize(
    ("lr", "fields"),
    [
        (0.1, {}),
        (0.2, {"beta": 0.5, "warmup_steps": 10}),
        (0.1, {"warmup_steps": 60, "r": 1.0, "weight_lr_power": 1.0}),
        (0.1, {"r": 0.5, "weight_lr_power": 0.0, "warmup_steps": 1}),
    ],
)
def test_schedule_free_sgd(lr: float, fields: dict[str, Any], decay: float) -> None:
    compare(
        ScheduleFreeSGD(weight_decay=decay, **fields),
        lambda params: schedulefree.SGDScheduleFree(params, lr=lr, **in_their_words(fields, decay)),
        [lr] * STEPS,
    )


@DECAYS
@pytest.mark.parametrize(
    ("lr", "fields"),
    [
        (0.0025, {}),
        (0.01, {"beta1": 0.5, "beta2": 0.9, "warmup_steps": 10}),
        (0.02, {"eps": 1e-3, "warmup_steps": 60, "r": 1.0, "weight_lr_power": 1.0}),
    ],
)
def test_schedule_free_adamw(lr: float, fields: dict[str, Any], decay: float) -> None:
    compare(
        ScheduleFreeAdamW(weight_decay=decay, **fields),
        lambda params: schedulefree.AdamWScheduleFree(
            params, lr=lr, **in_their_words(fields, decay)
        ),
        [lr] * STEPS,
    )


@pytest.mark.parametrize("at", ["y", "z"])
def test_schedule_free_adamw_decays_at_either_point(at: Any) -> None:
    compare(
        ScheduleFreeAdamW(weight_decay=0.5, decay_at=at),
        lambda params: AdamWScheduleFreeReference(
            params, lr=0.01, weight_decay=0.5, decay_at_z=at == "z"
        ),
        [0.01] * STEPS,
    )


@DECAYS
@pytest.mark.parametrize(
    ("lr", "fields"),
    [
        (0.0025, {}),
        (0.01, {"beta1": 0.5, "beta2": 0.9, "silent_sgd_phase": False}),
        (0.02, {"eps": 1e-3, "r": 1.0, "weight_lr_power": 1.0}),
    ],
)
def test_schedule_free_radam(lr: float, fields: dict[str, Any], decay: float) -> None:
    compare(
        ScheduleFreeRAdam(weight_decay=decay, **fields),
        lambda params: schedulefree.RAdamScheduleFree(
            params, lr=lr, **in_their_words(fields, decay)
        ),
        [lr] * STEPS,
    )


@pytest.mark.parametrize("silent", [False, True])
def test_schedule_free_radam_whose_mean_square_is_never_reliable(silent: bool) -> None:  # noqa: FBT001
    fields: dict[str, Any] = {"beta2": 0.5, "silent_sgd_phase": silent}
    rates = [0.02] * STEPS
    mine = ours(ScheduleFreeRAdam(**fields), rates)
    reference = theirs(
        lambda params: schedulefree.RAdamScheduleFree(
            params, lr=0.02, **in_their_words(fields, 0.0)
        ),
        rates,
    )
    assert max(map(furthest, mine, reference)) < 1e-10
    assert (furthest(mine[0], start()) == 0) == silent


@pytest.mark.parametrize(
    ("rule", "make"),
    [
        (ScheduleFreeSGD(), schedulefree.SGDScheduleFree),
        (ScheduleFreeAdamW(), schedulefree.AdamWScheduleFree),
        (ScheduleFreeRAdam(), schedulefree.RAdamScheduleFree),
    ],
    ids=["sgd", "adamw", "radam"],
)
def test_a_schedule_may_begin_and_end_at_0(rule: Method, make: Callable[..., Any]) -> None:
    rates = [0.0, 0.0, 0.01, 0.02, *[0.05] * 20, 0.01, 0.0]
    compare(rule, lambda params: make(params, lr=0.1), rates)


def test_without_a_share_of_the_average_it_is_the_mean_of_descent() -> None:
    """With beta 0, gradients are taken at z: x is the plain average of its points."""
    lr = 0.1
    training, average = ours(ScheduleFreeSGD(beta=0.0), [lr] * 10)
    params, total = start(), {name: torch.zeros_like(p) for name, p in start().items()}
    for step in range(10):
        _, grad = ask_of(step)(params)
        params = {name: p - lr * grad[name] for name, p in params.items()}
        total = {name: total[name] + p / 10 for name, p in params.items()}
    assert furthest(training, params) < 1e-12
    assert furthest(average, total) < 1e-12
