"""Reduce on plateau: torch's scheduler, trial by trial, wherever the trial is trained."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim.lr_scheduler import ReduceLROnPlateau

from gdcli.schedules.reduce_on_plateau import ReduceOnPlateau
from tests.engine.test_recorder_checkpoint import check
from tests.grids import assert_agree, train

OPTIONS: dict[str, Any] = {"patience": 2, "factor": 0.5, "threshold": 0.01, "cooldown": 1}


def from_torch(losses: list[float], options: dict[str, Any], lr: float = 1.0) -> list[float]:
    """Return the learning rate after each loss."""
    options = {**options, "min_lr": lr * options["least"]} if "least" in options else {**options}
    options.pop("least", None)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    scheduler = ReduceLROnPlateau(optimizer, eps=0.0, **options)
    rates = []
    for loss in losses:
        scheduler.step(loss)
        rates.append(optimizer.param_groups[0]["lr"])
    return rates


@given(
    losses=st.lists(st.sampled_from([1.0, 0.9999, 0.99, 0.5, 2.0, -1.0, 0.0, math.inf, math.nan])),
    factor=st.sampled_from([0.1, 0.5]),
    patience=st.integers(0, 3),
    threshold=st.sampled_from([0.0, 1e-4, 0.1]),
    cooldown=st.integers(0, 3),
    least=st.sampled_from([0.0, 0.3, 1.0]),
)
def test_it_is_torchs(losses: list[float], **options: Any) -> None:
    schedule = ReduceOnPlateau(**options)
    memory, found = schedule.start(), []
    for loss in losses:
        memory = schedule.observed(memory, loss)
        found.append(memory["multiplier"])
    assert found == from_torch(losses, options)


GRID: dict[str, Any] = {
    "schedule": "reduce-on-plateau",
    "vary": {f"reduce-on-plateau.{name}": str(value) for name, value in OPTIONS.items()},
}


@pytest.mark.parametrize("engine", ["auto", "reference"])
@pytest.mark.parametrize("optimizer", ["vanilla", "torch:SGD"])
def test_a_trial_follows_its_own_losses(engine: str, optimizer: str) -> None:
    grid: dict[str, Any] = {
        "lr": "0.0005,0.002,0.0039",
        "steps": "60",
        "record": "3",
        "optimizer": optimizer,
    }
    found = train("rosenbrock", **GRID, **grid, engine=engine)
    changed = 0
    for one in found.values():
        point = torch.tensor([-1.2, 1.0], dtype=torch.float64, requires_grad=True)
        rule = torch.optim.SGD([point], lr=one.trial.lr)
        scheduler = ReduceLROnPlateau(rule, eps=0.0, **OPTIONS)
        losses = []
        for step in range(61):
            short, off = 1 - point[0], point[1] - point[0] * point[0]
            loss = short * short + 100 * off * off
            if step % 3 == 0:
                losses.append(float(loss.detach()))
                scheduler.step(losses[-1])
            point.grad = torch.autograd.grad(loss, point)[0]
            rule.step()
        np.testing.assert_allclose(one.losses, losses, rtol=1e-7)
        changed += rule.param_groups[0]["lr"] < one.trial.lr
    assert changed > 0


def test_the_bits_are_those_of_the_trial_alone_and_of_one_that_goes_on() -> None:
    grid: dict[str, Any] = {"method": "minibatch", "epochs": "6", "seed": "0:1", **GRID}
    together = train("mlp", {"dataset": "iris"}, **grid, lr="0.3,1,3,1e9")
    assert len({float(one.losses[-1]) for one in together.values()}) == len(together)
    for key, one in train("mlp", {"dataset": "iris"}, **grid, lr="1").items():
        np.testing.assert_array_equal(one.losses, together[key].losses)
    check("mlp", {"dataset": "iris"}, **{**grid, "record": "3"}, lr="1,3,1e9")
    check("linear-regression", {"dataset": "diabetes"}, **{**grid, "record": "3"}, lr="0.1,1e9")


def test_the_engines_agree() -> None:
    grid: dict[str, Any] = {"method": "minibatch", "epochs": "8", "lr": "0.5,2", **GRID}
    grid |= {"dtype": "float64", "vary": {"reduce-on-plateau.threshold": "0.5"}}
    grid["vary"]["reduce-on-plateau.patience"] = "1"
    for problem in ("softmax-regression", "mlp"):
        stacked = train(problem, {"dataset": "iris"}, **grid)
        assert_agree(stacked, train(problem, {"dataset": "iris"}, **grid, engine="reference"))
        constant = train(
            problem, {"dataset": "iris"}, **{**grid, "schedule": "constant", "vary": {}}
        )
        assert any(
            not np.array_equal(one.losses, other.losses)
            for one, other in zip(stacked.values(), constant.values(), strict=True)
        )
