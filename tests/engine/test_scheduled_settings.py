"""Weight decay and momentum with a schedule: torch's steps with these values set by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from gdcli.catalog.catalog import SCHEDULES
from tests.engine.test_recorder_checkpoint import check
from tests.grids import assert_agree, only, train

STEPS = 30
LR = 1e-3

# Optimizer, setting, schedule, its options; torch's class with its arguments, and the argument.
CASES: list[tuple[str, str, str, dict[str, float], Any, dict[str, Any], str]] = [
    ("momentum", "momentum.beta", "linear", {"final": 0.5}, "SGD", {"momentum": 0.9}, "momentum"),
    (
        "momentum",
        "momentum.beta",
        "warmup-constant",
        {"start": 0.85 / 0.95, "warmup": 1.0},
        "SGD",
        {"momentum": 0.9},
        "momentum",
    ),
    (
        "vanilla",
        "weight-decay",
        "cosine",
        {"final": 0.1},
        "SGD",
        {"weight_decay": 0.3},
        "weight_decay",
    ),
    ("adamw", "weight-decay", "wsd", {}, "AdamW", {"weight_decay": 0.3}, "weight_decay"),
]


@pytest.mark.parametrize(("optimizer", "setting", "name", "options", "kind", "args", "arg"), CASES)
@pytest.mark.parametrize("engine", ["auto", "reference", "torch"])
def test_it_is_torch_with_the_value_of_each_step(  # noqa: PLR0913, PLR0917
    engine: str,
    optimizer: str,
    setting: str,
    name: str,
    options: dict[str, float],
    kind: str,
    args: dict[str, Any],
    arg: str,
) -> None:
    calls = ",".join(f"{field}={value!r}" for field, value in options.items())
    grid: dict[str, Any] = {"lr": str(LR), "steps": str(STEPS), "record": "step"}
    grid |= {"optimizer": optimizer, "schedule_for": f"{setting}={name}({calls})"}
    if "weight_decay" in args:
        grid["weight_decay"] = str(args["weight_decay"])
    if engine == "torch":
        grid["optimizer"] = f"torch:{kind}"
        grid["schedule_for"] = f"{setting}={name}({calls})".replace(
            "momentum.beta", "torch:SGD.momentum"
        )
        grid["vary"] = {"torch:SGD.momentum": "0.9"} if kind == "SGD" and arg == "momentum" else {}
    else:
        grid["engine"] = engine
    found = only(train("rosenbrock", **grid)).losses
    np.testing.assert_allclose(found, oracle(name, options, kind, args, arg), rtol=1e-9)


def oracle(
    name: str, options: dict[str, float], kind: str, args: dict[str, Any], arg: str
) -> list[float]:
    schedule = SCHEDULES.find(name, "test")(**options)
    point = torch.tensor([-1.2, 1.0], dtype=torch.float64, requires_grad=True)
    rule = getattr(torch.optim, kind)([point], lr=LR, **args)
    losses = []
    for step in range(STEPS + 1):
        loss = rosenbrock(point)
        losses.append(float(loss.detach()))
        point.grad = torch.autograd.grad(loss, point)[0]
        if step < STEPS:
            rule.param_groups[0][arg] = args[arg] * schedule.multiplier(step, STEPS)
            rule.step()
    return losses


def rosenbrock(point: torch.Tensor) -> torch.Tensor:
    short, off = 1 - point[0], point[1] - point[0] * point[0]
    return short * short + 100 * off * off


BOTH = "momentum.beta=cosine(final=0.5),weight-decay=linear"


def test_the_engines_agree_and_each_optimizer_takes_its_own() -> None:
    grid: dict[str, Any] = {"optimizer": "momentum,vanilla,adamw", "weight_decay": "0,0.1"}
    grid |= {"method": "minibatch", "epochs": "3", "lr": "0.01,0.02", "dtype": "float64"}
    for problem in ("softmax-regression", "mlp"):
        stacked = train(problem, {"dataset": "iris"}, **grid, schedule_for=BOTH)
        assert_agree(
            stacked,
            train(problem, {"dataset": "iris"}, **grid, schedule_for=BOTH, engine="reference"),
        )
        plain = train(problem, {"dataset": "iris"}, **grid)
        changed = [
            not np.array_equal(one.losses, other.losses)
            for one, other in zip(stacked.values(), plain.values(), strict=True)
        ]
        # Not that of vanilla and adamw without weight decay.
        assert changed == [
            one.trial.optimizer.weight_decay > 0 or hasattr(one.trial.optimizer, "beta")
            for one in stacked.values()
        ]


def test_a_trial_has_the_same_bits_alone_and_goes_on_from_any_state() -> None:
    grid: dict[str, Any] = {"optimizer": "momentum", "weight_decay": "0.1", "schedule_for": BOTH}
    grid |= {"method": "minibatch", "epochs": "2"}
    together = train("mlp", {"dataset": "iris"}, **grid, lr="0.01,0.1,1e9")
    for key, one in train("mlp", {"dataset": "iris"}, **grid, lr="0.1").items():
        np.testing.assert_array_equal(one.losses, together[key].losses)
    check("mlp", {"dataset": "iris"}, **grid, lr="0.01,1e9")


def test_a_quadratic_is_not_jumped_over_in_powers() -> None:
    grid: dict[str, Any] = {"optimizer": "momentum", "steps": "50", "record": "10"}
    changed = train("quadratic", **grid, schedule_for="momentum.beta=linear")
    expected = train("quadratic", **grid, schedule_for="momentum.beta=linear", engine="reference")
    assert_agree(changed, expected)


def test_the_parts_of_a_composed_optimizer_take_their_own() -> None:
    grid: dict[str, Any] = {"optimizer": "muon+adamw,momentum+ema", "dtype": "float64"}
    grid |= {"method": "minibatch", "epochs": "3", "lr": "0.01,0.02"}
    changes = "muon.beta=linear(final=0.5),adamw.beta1=cosine,ema.decay=cosine"
    stacked = train("mlp", {"dataset": "iris"}, **grid, schedule_for=changes)
    by_hand = train("mlp", {"dataset": "iris"}, **grid, schedule_for=changes, engine="reference")
    assert_agree(stacked, by_hand)
    plain = train("mlp", {"dataset": "iris"}, **grid)
    for one, other in zip(stacked.values(), plain.values(), strict=True):
        assert not np.array_equal(one.losses, other.losses)
