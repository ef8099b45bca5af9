"""Every schedule keeps the contract's laws, and agrees with torch.optim or with hand values."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
import torch
from annotated_types import Ge, Gt, Le, Lt
from hypothesis import given
from hypothesis import strategies as st
from torch.optim import lr_scheduler

from gdcli.catalog.catalog import SCHEDULES
from gdcli.fields import Option, options_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from gdcli.schedule import Schedule

NAMES = SCHEDULES.names()
FALLING = ["cosine", "exponential", "inverse-time", "linear", "polynomial", "step"]


def build(name: str, **fields: Any) -> Schedule:
    return SCHEDULES.find(name, "test")(**fields)


def multipliers(name: str, horizon: int, **fields: Any) -> list[float]:
    schedule = build(name, **fields)
    return [schedule.multiplier(step, horizon) for step in range(horizon)]


def from_torch(scheduler: Callable[..., Any], horizon: int) -> list[float]:
    """Return the learning rates of a torch scheduler whose base learning rate is 1."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    chain, rates = scheduler(optimizer), []
    for _ in range(horizon):
        rates.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        chain.step()
    return rates


def some_fields(name: str, data: st.DataObject) -> dict[str, Any]:
    """Draw a value within its limits for every field."""
    fields = {}
    for option in options_of(SCHEDULES.find(name, "test")).values():
        fields[option.field] = data.draw(some_value(option))
        option.read(fields[option.field], "test")
    return fields


def some_value(option: Option) -> st.SearchStrategy[Any]:
    if option.choices:
        return st.sampled_from(option.choices)
    if option.kind is int:
        return st.integers(1 if Ge(1) in option.limits else 0, 1000)
    low, high = Gt(0) in option.limits, Lt(1) in option.limits
    most = 1 if high or Le(1) in option.limits else 1000
    return st.floats(0, most, exclude_min=low, exclude_max=high)


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_multipliers_lie_between_0_and_1(name: str, data: st.DataObject) -> None:
    schedule = build(name, **some_fields(name, data))
    horizon = data.draw(st.integers(1, 50) | st.integers(1, 2**53 - 1))
    for step in {0, data.draw(st.integers(0, horizon - 1)), horizon - 1}:
        multiplier = schedule.multiplier(step, horizon)
        assert type(multiplier) is float
        assert 0 <= multiplier <= 1
        assert multiplier > 0 or step > 0


@pytest.mark.parametrize("name", NAMES)
@given(horizon=st.integers(1, 300))
def test_defaults_move_from_the_first_step_to_the_last(name: str, horizon: int) -> None:
    assert all(multiplier > 0 for multiplier in multipliers(name, horizon))


@pytest.mark.parametrize("name", FALLING)
@given(data=st.data(), horizon=st.integers(1, 100))
def test_a_decay_starts_at_1_and_never_rises(name: str, data: st.DataObject, horizon: int) -> None:
    path = multipliers(name, horizon, **some_fields(name, data))
    assert path[0] == 1
    assert path == sorted(path, reverse=True)


RISING = ["warmup-cosine", "warmup-constant", "one-cycle", "wsd", "inverse-sqrt"]


@pytest.mark.parametrize("name", RISING)
@given(data=st.data(), horizon=st.integers(1, 100))
def test_a_warm_up_rises_then_falls(name: str, data: st.DataObject, horizon: int) -> None:
    path = multipliers(name, horizon, **some_fields(name, data))
    top = path.index(max(path))
    assert path[: top + 1] == sorted(path[: top + 1])
    assert path[top:] == sorted(path[top:], reverse=True)


@pytest.mark.parametrize("name", ["constant", "step", "exponential", "linear", "cosine"])
@given(data=st.data(), horizon=st.integers(1, 50), times=st.integers(2, 9))
def test_a_longer_run_stretches_the_curve(
    name: str, data: st.DataObject, horizon: int, times: int
) -> None:
    schedule = build(name, **some_fields(name, data))
    step = data.draw(st.integers(0, horizon - 1))
    stretched = schedule.multiplier(times * step, times * horizon)
    assert stretched == schedule.multiplier(step, horizon)


ROOTS_OF_4 = [0.5, 1 - 0.5**0.5, 1 - 0.75**0.5]
ROOTS = [(4 / n) ** 0.5 for n in range(5, 10)]
COSINE_OF_4 = [1, 0.5 + 0.125**0.5, 0.5, 0.5 - 0.125**0.5]


@pytest.mark.parametrize(
    ("name", "fields", "horizon", "expected"),
    [
        ("constant", {}, 3, [1, 1, 1]),
        ("step", {}, 6, [1, 1, 0.1, 0.1, 0.01, 0.01]),
        ("step", {}, 7, [1, 1, 1, 0.1, 0.1, 0.01, 0.01]),
        ("step", {"factor": 0.5, "drops": 3}, 4, [1, 0.5, 0.25, 0.125]),
        ("step", {"drops": 0}, 2, [1, 1]),
        ("exponential", {}, 4, [1, 10**-0.5, 0.1, 10**-1.5]),
        ("exponential", {"final": 0.0625}, 4, [1, 0.5, 0.25, 0.125]),
        ("linear", {}, 4, [1, 0.75, 0.5, 0.25]),
        ("linear", {"final": 0.5}, 2, [1, 0.75]),
        ("cosine", {}, 4, [1, 0.5 + 0.125**0.5, 0.5, 0.5 - 0.125**0.5]),
        ("cosine", {"final": 0.5}, 3, [1, 0.875, 0.625]),
        ("inverse-time", {}, 3, [1, 1 / 1.01, 1 / 1.02]),
        ("inverse-time", {"decay": 1.0}, 4, [1, 1 / 2, 1 / 3, 1 / 4]),
        ("warmup-cosine", {"warmup": 0.5}, 6, [0.25, 0.5, 0.75, 1, 0.75, 0.25]),
        ("warmup-cosine", {"warmup": 1.0}, 3, [0.25, 0.5, 0.75]),
        ("one-cycle", {"warmup": 0.6, "start": 0.2, "final": 0.0}, 5, [0.2, 0.6, 1, 0.5, 0]),
        ("one-cycle", {"warmup": 1.0, "start": 0.5}, 3, [0.5, 0.75, 1]),
        ("one-cycle", {"warmup": 0.0, "final": 0.5}, 3, [1, 0.75, 0.5]),
        ("warmup-constant", {"warmup": 0.75}, 4, [0.25, 0.5, 0.75, 1]),
        ("warmup-constant", {"warmup_steps": 2, "start": 0.5}, 4, [0.5, 0.75, 1, 1]),
        ("warmup-constant", {"warmup_steps": 9}, 2, [1 / 3, 2 / 3]),
        ("inverse-sqrt", {"warmup_steps": 4}, 9, [0.25, 0.5, 0.75, 1, *ROOTS]),
        ("inverse-sqrt", {"warmup": 0.0}, 2, [1, 0.5**0.5]),
        ("polynomial", {}, 4, [1, 0.5625, 0.25, 0.0625]),
        ("polynomial", {"power": 1.0, "final": 0.5}, 2, [1, 0.75]),
        ("wsd", {"warmup": 0.2, "shape": "linear"}, 10, [1 / 3, 2 / 3, *[1] * 7, 0.5]),
        ("wsd", {"cooldown": 0.5, "warmup": 0.0}, 8, [1] * 5 + ROOTS_OF_4),
        ("wsd", {"cooldown": 1.0, "shape": "cosine", "final": 0.5}, 2, [1, 0.75]),
        ("wsd", {"warmup": 1.0, "cooldown": 1.0}, 3, [0.25, 0.5, 0.75]),
        ("wsd", {"warmup_steps": 1, "cooldown": 1.0, "shape": "linear"}, 3, [0.5, 1, 0.5]),
        ("cosine-restarts", {"restarts": 1, "growth": 1}, 4, [1, 0.5, 1, 0.5]),
        ("cosine-restarts", {"restarts": 1}, 6, [1, 0.5, 1, *COSINE_OF_4[1:]]),
        ("cosine-restarts", {"restarts": 0}, 4, COSINE_OF_4),
        ("triangular", {"cycles": 2}, 8, [0.25, 0.625, 1, 0.625] * 2),
        ("triangular", {"cycles": 1, "start": 0.5, "rise": 0.25}, 4, [0.5, 1, 5 / 6, 4 / 6]),
        ("triangular", {"cycles": 2, "start": 0.5, "factor": 0.5}, 4, [0.5, 1, 0.5, 0.75]),
        ("triangular", {"cycles": 2}, 3, [1, 1, 1]),
        ("one-cycle-momentum", {"low": 0.5, "warmup": 0.6}, 5, [1, 0.75, 0.5, 0.75, 1]),
        ("one-cycle-momentum", {"low": 0.5, "warmup": 1.0}, 2, [1, 0.5]),
        ("step-up", {}, 6, [0.25, 0.25, 0.5, 0.5, 1, 1]),
        ("step-up", {"start": 0.125, "rises": 3}, 4, [0.125, 0.25, 0.5, 1]),
        ("step-up", {"rises": 0}, 2, [1, 1]),
        *((name, {}, 1, [1]) for name in NAMES),
    ],
)
def test_hand_values(
    name: str, fields: dict[str, float], horizon: int, expected: list[float]
) -> None:
    path = multipliers(name, horizon, **fields)
    assert path == pytest.approx(expected, rel=1e-14, abs=1e-15)


@given(horizon=st.integers(1, 60), final=st.floats(0.01, 1))
def test_decays_agree_with_torch(horizon: int, final: float) -> None:
    def cosine(optimizer: torch.optim.Optimizer) -> Any:
        return lr_scheduler.CosineAnnealingLR(optimizer, T_max=horizon, eta_min=final)

    def exponential(optimizer: torch.optim.Optimizer) -> Any:
        return lr_scheduler.ExponentialLR(optimizer, gamma=final ** (1 / horizon))

    def linear(optimizer: torch.optim.Optimizer) -> Any:
        return lr_scheduler.LinearLR(optimizer, 1.0, final, total_iters=horizon)

    for name, oracle in {"cosine": cosine, "exponential": exponential, "linear": linear}.items():
        path = multipliers(name, horizon, final=final)
        assert path == pytest.approx(from_torch(oracle, horizon), rel=1e-10)


@given(thirds=st.integers(1, 20), factor=st.floats(0.1, 1))
def test_step_agrees_with_torch(thirds: int, factor: float) -> None:
    def oracle(optimizer: torch.optim.Optimizer) -> Any:
        return lr_scheduler.StepLR(optimizer, step_size=thirds, gamma=factor)

    path = multipliers("step", 3 * thirds, factor=factor)
    assert path == pytest.approx(from_torch(oracle, 3 * thirds), rel=1e-10)


@given(
    horizon=st.integers(4, 60),
    warmup=st.floats(0.3, 0.9),
    start=st.floats(0.01, 1),
    final=st.floats(1e-5, 1),
)
def test_one_cycle_agrees_with_torch(
    horizon: int, warmup: float, start: float, final: float
) -> None:
    def oracle(optimizer: torch.optim.Optimizer) -> Any:
        return lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=1.0,
            total_steps=horizon,
            pct_start=warmup,
            div_factor=1 / start,
            final_div_factor=start / final,
            cycle_momentum=False,
        )

    path = multipliers("one-cycle", horizon, warmup=warmup, start=start, final=final)
    assert path == pytest.approx(from_torch(oracle, horizon), rel=1e-10)


@given(horizon=st.integers(1, 60), power=st.floats(0.1, 5))
def test_polynomial_agrees_with_torch(horizon: int, power: float) -> None:
    def oracle(optimizer: torch.optim.Optimizer) -> Any:
        return lr_scheduler.PolynomialLR(optimizer, total_iters=horizon, power=power)

    # torch multiplies the rate of the step before: its rounding errors add up near 0.
    path = multipliers("polynomial", horizon, power=power)
    assert path == pytest.approx(from_torch(oracle, horizon), rel=1e-9, abs=1e-14)


@given(rising=st.integers(1, 20), after=st.integers(0, 20), start=st.floats(0.01, 1))
def test_a_warm_up_agrees_with_torch(rising: int, after: int, start: float) -> None:
    def oracle(optimizer: torch.optim.Optimizer) -> Any:
        return lr_scheduler.LinearLR(optimizer, start, 1.0, total_iters=rising)

    horizon = rising + after
    for fields in ({"warmup": rising / horizon}, {"warmup_steps": rising}):
        path = multipliers("warmup-constant", horizon, **fields, start=start)
        assert path == pytest.approx(from_torch(oracle, horizon), rel=1e-10)


@given(first=st.integers(1, 9), growth=st.integers(1, 3), restarts=st.integers(0, 3))
def test_restarts_agree_with_torch(first: int, growth: int, restarts: int) -> None:
    def oracle(optimizer: torch.optim.Optimizer) -> Any:
        return lr_scheduler.CosineAnnealingWarmRestarts(optimizer, first, growth, eta_min=0.1)

    horizon = sum(first * growth**i for i in range(restarts + 1))
    path = multipliers("cosine-restarts", horizon, restarts=restarts, growth=growth, final=0.1)
    assert path == pytest.approx(from_torch(oracle, horizon), rel=1e-10)
    assert path.count(1) == restarts + 1


@given(
    up=st.integers(1, 9),
    down=st.integers(1, 9),
    cycles=st.integers(1, 4),
    start=st.floats(0.01, 1),
    mode=st.sampled_from(["triangular", "triangular2"]),
)
def test_triangular_agrees_with_torch(
    up: int, down: int, cycles: int, start: float, mode: Any
) -> None:
    def oracle(optimizer: torch.optim.Optimizer) -> Any:
        return lr_scheduler.CyclicLR(optimizer, start, 1.0, up, down, mode, cycle_momentum=False)

    factor = 1.0 if mode == "triangular" else 0.5
    horizon = cycles * (up + down)
    fields = {"cycles": cycles, "start": start, "rise": up / (up + down), "factor": factor}
    path = multipliers("triangular", horizon, **fields)
    assert path == pytest.approx(from_torch(oracle, horizon), rel=1e-10)


@given(horizon=st.integers(4, 60), warmup=st.floats(0.3, 0.9), low=st.floats(0.01, 0.99))
def test_the_momentum_of_one_cycle_agrees_with_torch(
    horizon: int, warmup: float, low: float
) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0, momentum=0.5)
    chain = lr_scheduler.OneCycleLR(
        optimizer,
        max_lr=1.0,
        total_steps=horizon,
        pct_start=warmup,
        base_momentum=0.9 * low,
        max_momentum=0.9,
    )
    expected = []
    for _ in range(horizon):
        expected.append(optimizer.param_groups[0]["momentum"] / 0.9)
        optimizer.step()
        chain.step() if len(expected) < horizon else None
    path = multipliers("one-cycle-momentum", horizon, warmup=warmup, low=low)
    assert path == pytest.approx(expected, rel=1e-10)


@given(
    rising=st.integers(0, 20),
    stable=st.integers(0, 20),
    falling=st.integers(1, 20),
    final=st.floats(0.01, 1),
)
def test_the_linear_wsd_agrees_with_torch(
    rising: int, stable: int, falling: int, final: float
) -> None:
    def oracle(optimizer: torch.optim.Optimizer) -> Any:
        parts = [
            lr_scheduler.LinearLR(optimizer, 1 / (rising + 1), 1.0, total_iters=rising),
            lr_scheduler.ConstantLR(optimizer, 1.0, total_iters=stable),
            lr_scheduler.LinearLR(optimizer, 1.0, final, total_iters=falling),
        ]
        return lr_scheduler.SequentialLR(optimizer, parts, [rising, rising + stable])

    horizon = rising + stable + falling
    shares = {"warmup_steps": rising, "cooldown": falling / horizon}
    path = multipliers("wsd", horizon, **shares, shape="linear", final=final)
    assert path == pytest.approx(from_torch(oracle, horizon), rel=1e-9)


@pytest.mark.parametrize("falling", [1, 2, 7, 40])
def test_the_other_cooldowns_are_those_of_the_paper(falling: int) -> None:
    horizon = 5 * falling
    passed = [n / falling for n in range(falling)]  # the paper's (n - (N - Nd)) / Nd
    path = multipliers("wsd", horizon, cooldown=0.2, warmup=0.0)
    assert path == [1.0] * (horizon - falling) + [1 - math.sqrt(s) for s in passed]
    path = multipliers("wsd", horizon, cooldown=0.2, warmup=0.0, shape="cosine")
    assert path == [1.0] * (horizon - falling) + multipliers("cosine", falling)


@given(horizon=st.integers(1, 60), rises=st.integers(1, 5), start=st.floats(0.01, 1))
def test_step_up_mirrors_step(horizon: int, rises: int, start: float) -> None:
    mirrored = multipliers("step", horizon, factor=start ** (1 / rises), drops=rises)[::-1]
    assert multipliers("step-up", horizon, start=start, rises=rises) == pytest.approx(mirrored)


def test_a_warm_up_in_steps_makes_a_trunk_that_longer_runs_share() -> None:
    stable = multipliers("wsd", 100, warmup_steps=5)[:80]
    assert multipliers("wsd", 400, warmup_steps=5)[:80] == stable
    assert multipliers("inverse-sqrt", 400, warmup_steps=5)[:80] == multipliers(
        "inverse-sqrt", 80, warmup_steps=5
    )


@given(rising=st.integers(1, 20), falling=st.integers(1, 40), final=st.floats(0.01, 1))
def test_warmup_cosine_joins_a_line_and_a_cosine(rising: int, falling: int, final: float) -> None:
    horizon = rising + falling
    path = multipliers("warmup-cosine", horizon, warmup=rising / horizon, final=final)
    assert path[:rising] == pytest.approx([(k + 1) / (rising + 1) for k in range(rising)])
    assert path[rising:] == multipliers("cosine", falling, final=final)


def test_inverse_time_continues_a_shorter_run() -> None:
    assert multipliers("inverse-time", 100)[:10] == multipliers("inverse-time", 10)


def test_inverse_time_is_the_lr_decay_of_torchs_adagrad() -> None:
    param = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
    optimizer = torch.optim.Adagrad([param], lr=1.0, lr_decay=0.25, eps=0.0)
    schedule = build("inverse-time", decay=0.25)
    for step in range(20):
        before = param.item()
        param.grad = torch.ones_like(param)
        optimizer.step()
        taken = (before - param.item()) * math.sqrt(step + 1)
        assert taken == pytest.approx(schedule.multiplier(step, 20), rel=1e-12)
