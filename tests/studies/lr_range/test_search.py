"""The search for a learning rate, where theory or a dense grid knows the answer."""

from __future__ import annotations

import math
from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from gdcli.errors import UserError
from gdcli.runs.options import Silent
from gdcli.studies.lr_range.search import (
    AROUND,
    MOST_STEPS,
    SettingRange,
    ceiling,
    held_below,
    medians,
    range_test,
    smoothed,
    steepest,
)
from gdcli.studies.lr_range.show import answer, remarks
from gdcli.studies.options import Compute, RangeTest
from tests.grids import experiment, only, train

if TYPE_CHECKING:
    from pathlib import Path

TEST = RangeTest()


def ranges_of(
    problem: str, options: dict[str, Any] | None = None, test: RangeTest = TEST, **grid: Any
) -> list[SettingRange]:
    return range_test(experiment(problem, options, **grid), test, Compute(device="cpu"), Silent)


@pytest.mark.parametrize("condition", ["10", "100", "1000"])
@pytest.mark.parametrize(
    ("optimizer", "times"), [("vanilla", 2), ("momentum", 3.8), ("nesterov", 3.8 / 2.8)]
)
def test_the_edge_on_a_bowl_is_around_the_limit(
    condition: str, optimizer: str, times: float
) -> None:
    test = RangeTest(steps=400)
    (found,) = ranges_of("quadratic", {"condition": condition}, test, optimizer=optimizer)
    limit = times / float(condition)
    assert found.limit is not None
    assert found.limit.exact
    assert found.limit.lr == pytest.approx(limit)
    assert found.suggested is not None
    assert found.unstable is not None
    # The first rung above the limit.
    assert found.suggested < limit < found.unstable <= 2 * limit * (1 + 1e-9)
    assert limit * 0.49 < max(lr for lr in found.held if lr < found.unstable) <= limit * (1 + 1e-9)


PAIRS: list[tuple[str, dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    ("quadratic", {"condition": "100"}, {}, {"steps": "50"}),
    ("softmax-regression", {"dataset": "iris"}, {"optimizer": "adam"}, {"epochs": "10"}),
    ("mlp", {"dataset": "iris"}, {"batch_size": "8"}, {"epochs": "10"}),
]


@pytest.mark.parametrize(("problem", "options", "rule", "budget"), PAIRS)
def test_the_suggestion_is_good_on_a_dense_grid_of_other_seeds(
    problem: str, options: dict[str, Any], rule: dict[str, Any], budget: dict[str, Any]
) -> None:
    if problem != "quadratic":
        rule = {"method": "minibatch", **rule}
    (found,) = ranges_of(problem, options, seed="0:2", **rule)
    assert found.suggested is not None
    rates = f"log:1e-4:3.1:19,{found.suggested!r}"
    trials = train(problem, options, seed="3:5", lr=rates, **rule, **budget, record="1000")
    ends: dict[float, list[float]] = {}
    for one in trials.values():
        ends.setdefault(one.trial.lr, []).append(float(np.nan_to_num(one.losses[-1], nan=np.inf)))
    start = median(float(one.losses[0]) for one in trials.values())
    levels = {lr: median(losses) for lr, losses in ends.items()}
    own = levels.pop(found.suggested)
    best = min(levels, key=lambda lr: levels[lr])
    fall = start - levels[best]
    assert own <= start - 0.9 * fall
    assert 1 / 3 <= found.suggested / best <= 3 or own <= levels[best] + fall / 1000


def test_the_good_region_has_both_ends_and_is_what_it_says() -> None:
    (found,) = ranges_of("mlp", {"dataset": "iris"}, seed="0:2", method="minibatch")
    assert found.good is not None
    ends = {lr: median(losses.values()) for lr, losses in found.held.items()}
    low, high = found.good
    lowest = min(ends.values())
    level = found.start - 0.9 * (found.start - lowest)
    assert all(ends[lr] <= level for lr in ends if low <= lr <= high)
    assert ends[max(lr for lr in ends if lr < low)] > level
    assert ends[min(lr for lr in ends if lr > high)] > level
    assert found.suggested is not None
    assert ends[found.suggested] == pytest.approx(lowest)
    assert len(found.held) > len(AROUND)


def test_the_first_rates_are_around_the_ramp_s_steepest_place() -> None:
    (found,) = ranges_of("quadratic", {"condition": "1", "dim": "1"}, RangeTest(smooth=1))
    # With curvature 1 from 1, the loss after the rates so far is the product of (1 - lr)^2 / 2.
    losses = [0.5]
    for lr in found.rates:
        losses.append(losses[-1] * (1 - lr) ** 2)
    assert found.ramps[0][:30] == pytest.approx(losses[1:31], rel=1e-12)
    kept = held_below(losses, 1.0)
    place = steepest(kept)
    assert place
    decades = math.log10(found.rates[place - 1])
    first = round(2 * decades) / 2
    assert {f"{10**first / 10:.0e}", f"{10**first * 10:.0e}"} <= {f"{lr:.0e}" for lr in found.held}


def test_a_held_rate_is_a_trial_of_that_rate() -> None:
    (found,) = ranges_of("linear-regression", method="minibatch", seed="3")
    lr, losses = next(iter(found.held.items()))
    rule: dict[str, Any] = {
        "method": "minibatch",
        "seed": "3",
        "lr": repr(lr),
        "steps": str(found.plan.steps),
    }
    assert only(train("linear-regression", **rule)).losses[-1] == losses[3]


def test_a_setting_has_the_same_bits_in_any_grid() -> None:
    test = RangeTest(steps=20)
    many = ranges_of("mlp", {"dataset": "iris"}, test, optimizer="vanilla,adam", seed="0:2")
    (alone,) = ranges_of("mlp", {"dataset": "iris"}, test, optimizer="adam", seed="0:2")
    assert alone == many[1]
    assert len(alone.ramps) == 3


def test_the_budget_is_the_test_s_own() -> None:
    (alone,) = ranges_of("quadratic", {"noise": "0.1"}, method="minibatch")
    rule: dict[str, Any] = {"method": "minibatch", "epochs": "7", "record": "log"}
    (other,) = ranges_of("quadratic", {"noise": "0.1"}, **rule)
    assert (other.levels, other.smooth) == (alone.levels, alone.smooth)
    assert alone.plan.steps == 10 * alone.plan.steps_per_epoch
    (given,) = ranges_of("quadratic", {"noise": "0.1"}, RangeTest(epochs=3), method="minibatch")
    assert given.plan.steps == 3 * alone.plan.steps_per_epoch
    (given,) = ranges_of("quadratic", test=RangeTest(steps=7))
    assert given.plan.steps == 7
    (long,) = ranges_of("rosenbrock")
    assert long.plan.steps == MOST_STEPS
    with pytest.raises(UserError, match=r"--steps: both epochs \(2\) and steps \(3\) are given"):
        RangeTest(epochs=2, steps=3)


def test_seeds_are_summed_up_by_their_median() -> None:
    (found,) = ranges_of("mlp", {"dataset": "iris"}, seed="0:2", method="minibatch")
    singles = [
        one
        for seed in "012"
        for one in ranges_of("mlp", {"dataset": "iris"}, seed=seed, method="minibatch")
    ]
    assert found.smooth[40] == sorted(one.smooth[40] for one in singles)[1]
    assert found.seeds == (0, 1, 2)
    assert found.start == sorted(one.start for one in singles)[1]


def test_a_window_that_is_too_high_is_left() -> None:
    test = RangeTest(lr_from=1, lr_to=10, ramp=5)
    (found,) = ranges_of("quadratic", {"condition": "1000"}, test)
    assert (found.suggested, found.unstable) == (0.001, 0.003)
    assert answer(found) == "use 0.001 (good: 3e-05 to 0.001; unstable from 0.003)"
    assert remarks(found, test) == ["such rates lie below --lr-from, 1: the search went on there"]


def test_a_window_that_is_too_low_is_left() -> None:
    test = RangeTest(lr_from=1e-9, lr_to=1e-8, ramp=5)
    (found,) = ranges_of("quadratic", {"condition": "10"}, test)
    assert found.suggested == 0.1
    assert found.unstable is None or found.unstable > 0.1


def table(folder: Path, factor: float) -> dict[str, str]:
    """Return the options of a least-squares problem one of whose features is so large."""
    random = np.random.default_rng(1)
    x = random.standard_normal((60, 2))
    y = x @ [1.0, -2.0] + 0.1 * random.standard_normal(60)
    x[:, 1] *= factor
    file = folder / f"{factor}.csv"
    np.savetxt(file, np.column_stack([x, y]), "%.17g", ",", header="a,b,c", comments="")
    return {"data": str(file), "target": "c", "scale": "none"}


def test_features_of_other_sizes_are_named(tmp_path: Path) -> None:
    (found,) = ranges_of("linear-regression", table(tmp_path, 1e4))
    assert found.suggested is not None
    assert found.limit is not None
    assert found.suggested < found.limit.lr < TEST.lr_from
    below, scale = remarks(found, TEST)
    assert below == "such rates lie below --lr-from, 1e-05: the search went on there"
    assert scale.startswith(
        "scale the features (--scale standard): their root mean squares go from "
    )
    (even,) = ranges_of("linear-regression", table(tmp_path, 3))
    assert not remarks(even, TEST)


def test_features_beyond_every_rate_leave_one_sentence(tmp_path: Path) -> None:
    (found,) = ranges_of("linear-regression", table(tmp_path, 1e9))
    assert found.suggested is None
    assert answer(found) == "no rate can be used: down to 1e-12 every one is unstable"
    assert remarks(found, TEST)[-1].startswith("scale the features (--scale standard): ")


def test_a_start_without_a_gradient_has_no_rate() -> None:
    (found,) = ranges_of("expression", {"formula": "(w - 2)**2", "start": "2"})
    assert found.suggested is None
    assert answer(found).startswith("no rate can be used: from 1e-")
    assert answer(found).endswith(
        "none changes the loss: its gradient at the start is 0, or too small"
    )


def test_a_good_rate_without_a_good_neighbour_is_named() -> None:
    # A wave in a bowl: a large rate jumps by luck to a lower valley.
    (found,) = ranges_of("expression", {"formula": "sin(3*w) + w**2/4", "start": "3"})
    assert found.good is not None
    assert found.good[0] == found.good[1] == found.suggested
    assert answer(found).startswith(f"use {found.suggested:g} (good: {found.suggested:g} alone; ")
    (remark,) = remarks(found, TEST)
    assert remark.startswith("the rates beside it are not good: its low loss may be chance, or ")


def test_a_loss_without_a_floor_is_named() -> None:
    (found,) = ranges_of(
        "expression", {"formula": "x**2 - y**2", "start": "1,0.0001"}, RangeTest(steps=200)
    )
    assert found.suggested is None
    assert answer(found) == (
        "no rate is best: at some the loss falls without end, so it may have no minimum"
    )


def test_a_suggestion_is_below_every_unstable_rate() -> None:
    # Momentum takes its time: the ramp has passed the edge before it shows.
    rule: dict[str, Any] = {"method": "sgd", "optimizer": "momentum", "seed": "1"}
    (found,) = ranges_of("linear-regression", {"scale": "none"}, **rule)
    assert found.suggested is not None
    assert found.unstable is not None
    assert found.suggested < found.unstable
    assert all(
        losses[1] <= 2 * found.start for lr, losses in found.held.items() if lr < found.unstable
    )


@pytest.mark.parametrize(
    ("problem", "grid", "exact"),
    [
        ("logistic-regression", {}, False),
        ("softmax-regression", {}, False),
        ("linear-regression", {"weight_decay": "0.1"}, True),
        ("linear-regression", {"method": "minibatch"}, None),
        ("logistic-regression", {"optimizer": "momentum"}, None),
        ("linear-regression", {"optimizer": "adam"}, None),
        ("rosenbrock", {}, None),
    ],
)
def test_a_limit_is_claimed_where_it_is_known(
    problem: str, grid: dict[str, Any], exact: object
) -> None:
    (found,) = ranges_of(problem, test=RangeTest(ramp=5, lr_to=1e-3, steps=5), **grid)
    assert (found.limit and found.limit.exact) is exact


def test_batches_of_a_noisy_bowl_share_its_limit() -> None:
    (found,) = ranges_of("quadratic", {"noise": "0.1"}, method="minibatch")
    assert found.limit is not None
    assert found.unstable is not None
    assert found.limit.lr < found.unstable < found.limit.lr * 2


def test_rates_are_exact_decimals() -> None:
    rates = RangeTest(lr_from=1e-3, lr_to=10, ramp=5).rates()
    assert rates == (0.001, 0.01, 0.1, 1.0, 10.0)
    with pytest.raises(UserError, match=r"--lr-to: 0.1 is not above the 0.1 of --lr-from"):
        RangeTest(lr_from=0.1, lr_to=0.1).rates()


@pytest.mark.parametrize(
    ("start", "minimum", "factor", "expected"),
    [(2.0, 0.0, 3.0, 6.0), (2.0, 1.0, 3.0, 4.0), (2.0, None, 3.0, 6.0), (-1.0, None, 3.0, 1.0)],
)
def test_the_ceiling_is_over_the_minimum(
    start: float, minimum: float | None, factor: float, expected: float
) -> None:
    assert ceiling(start, minimum, factor) == expected


def test_curves_are_kept_smoothed_and_joined() -> None:
    assert held_below([1.0, 2.0, 5.0, 1.0], 4.0) == [1.0, 2.0]
    assert held_below([1.0, math.nan, 1.0], 4.0) == [1.0]
    assert smoothed([0.0, 3.0, 6.0, 12.0], 3) == [0.0, 3.0, 7.0, 12.0]
    assert smoothed([0.0, 3.0, 6.0, 12.0], 1) == [0.0, 3.0, 6.0, 12.0]
    assert medians([[1.0, 2.0], [3.0], [5.0, 6.0]], 3) == [3.0, 6.0, math.inf]
    assert steepest([4.0, 4.0, 3.0, 1.0, 1.0]) == 2
    assert steepest([4.0, 1.0]) == 1
    assert steepest([1.0, 1.0, 2.0]) is None
    assert steepest([]) is None


def test_a_setting_without_a_trained_trial_says_so() -> None:
    (found,) = ranges_of("quadratic", test=RangeTest(steps=3))
    lost = replace(found, held={}, levels={}, start=math.nan, seeds=())
    assert answer(lost) == "no rate can be used: every trial failed"
    wrong = replace(found, start=math.inf)
    assert answer(wrong) == "no rate can be used: the loss at the start is not finite"
