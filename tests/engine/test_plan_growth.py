"""A schedule of the batch size: which examples each step sees, and that every engine sees them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdcli.engine.plan import Plan, growth_of
from gdcli.engine.sampling import Orders
from gdcli.errors import UserErrors
from gdcli.schedules.cosine import Cosine
from gdcli.schedules.step_up import StepUp
from tests.engine.test_recorder_checkpoint import check
from tests.grids import assert_agree, experiment, only, train

GROWING = "batch-size=step-up(start=0.25,rises=2)"


def plan_of(size: int, examples: int, steps: int, record: str, *, drop: bool = False) -> Plan:
    growth = growth_of(StepUp(0.25, 2), size, examples, steps, drop=drop)
    return Plan(examples, size, -(-examples // size), steps, record, growth)


def test_a_growing_batch_by_hand() -> None:
    plan = plan_of(8, 10, 9, "epoch")  # 2 2 2 | 4 4 4 | 8 8 8, each at most the rest of its epoch
    sizes = [plan.examples_at(s + 1) - plan.examples_at(s) for s in range(9)]
    assert sizes == [2, 2, 2, 4, 4, 4, 2, 8, 2]
    assert [plan.epoch_at(s) for s in (0, 1, 4, 5, 7, 8, 9)] == [0, 0.2, 1, 1.4, 2, 2.8, 3]
    assert [*plan.points()] == [0, 4, 7, 9]
    assert plan.recorded == 4
    assert [plan.next_point(s) for s in (0, 3, 4, 7, 8)] == [4, 4, 7, 9, 9]


def test_what_does_not_fill_a_batch_is_dropped() -> None:
    plan = plan_of(8, 10, 9, "epoch", drop=True)
    sizes = [plan.examples_at(s + 1) - plan.examples_at(s) for s in range(9)]
    assert sizes == [2, 2, 2, 4, 4, 4, 8, 8, 8]
    assert [*plan.points()] == [0, 4, 6, 7, 8, 9]


@given(
    examples=st.integers(1, 30),
    size=st.integers(1, 30),
    steps=st.integers(1, 60),
    first=st.integers(0, 60),
    most=st.integers(1, 9),
    order=st.sampled_from(["shuffle", "fixed", "replacement"]),
    drop=st.booleans(),
)
def test_every_epoch_sees_its_order_once(  # noqa: PLR0913
    *, examples: int, size: int, steps: int, first: int, most: int, order: str, drop: bool
) -> None:
    size, first = min(size, examples), min(first, steps)
    growth = growth_of(Cosine(0.1), size, examples, steps, drop=drop)
    plan = Plan(examples, size, -(-examples // size), steps, "epoch", growth)
    orders = Orders("test", [3, 4], plan, order)
    whole = [row for block in orders.blocks(0, steps, 1000) for row in block]
    assert [row.shape[1] for row in whole] == [growth.size(step) for step in range(steps)]
    some = Orders("test", [3, 4], plan, order).blocks(first, steps, most)
    parts = [row for block in some for row in block]
    for row, other in zip(whole[first:], parts, strict=True):
        np.testing.assert_array_equal(row, other)
    ends = [*growth.firsts, steps]
    for epoch, (begin, end) in enumerate(pairwise(ends)):
        if begin < end:
            seen = np.concatenate(whole[begin:end], axis=1)
            np.testing.assert_array_equal(seen, orders._epoch(epoch)[:, : seen.shape[1]])


GRID: dict[str, Any] = {
    "method": "minibatch",
    "batch_size": "32",
    "steps": "40",
    "schedule_for": GROWING,
}


@pytest.mark.parametrize("problem", ["softmax-regression", "mlp"])
@pytest.mark.parametrize("order", ["shuffle", "replacement"])
def test_the_engines_agree(problem: str, order: str) -> None:
    grid = {**GRID, "dtype": "float64", "lr": "0.02,0.1", "order": order}
    grid["optimizer"] = "vanilla,momentum"
    stacked = train(problem, {"dataset": "iris"}, **grid)
    assert_agree(stacked, train(problem, {"dataset": "iris"}, **grid, engine="reference"))


def test_without_growth_it_is_the_constant_size() -> None:
    steady = {**GRID, "schedule_for": "batch-size=step-up(start=1)", "lr": "0.05"}
    plain = {name: value for name, value in steady.items() if name != "schedule_for"}
    one, other = (only(train("mlp", {"dataset": "iris"}, **grid)) for grid in (steady, plain))
    assert one.steps == other.steps
    np.testing.assert_array_equal(one.losses, other.losses)


@pytest.mark.parametrize("problem", ["linear-regression", "mlp"])
def test_a_trial_has_the_same_bits_alone_and_goes_on_from_any_state(problem: str) -> None:
    data = {"dataset": "iris" if problem == "mlp" else "diabetes"}
    together = train(problem, data, **GRID, lr="0.01,0.1,1e9")
    one = only(train(problem, data, **GRID, lr="0.1"))
    np.testing.assert_array_equal(one.losses, together[one.trial.id].losses)
    check(problem, data, **GRID, lr="0.01,1e9")


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ({"method": "gd"}, "there is no batch size for a schedule to change"),
        ({"steps": None, "epochs": "3"}, "give --steps"),
    ],
)
def test_mistakes_are_one_line(grid: dict[str, Any], message: str) -> None:
    grid = {name: value for name, value in {**GRID, **grid}.items() if value is not None}
    with pytest.raises(UserErrors, match=message):
        experiment("mlp", {"dataset": "iris"}, **grid)
