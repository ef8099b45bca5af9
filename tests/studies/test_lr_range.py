"""The learning-rate range test, where theory knows the answer."""

from __future__ import annotations

import math
from typing import Any

import pytest

from gdcli.analysis.lr_range import ceiling, held_below, median_end, medians, smoothed, steepest
from gdcli.errors import UserError
from gdcli.runs.progress import Silent
from gdcli.studies.lr_range import SettingRange, range_test
from gdcli.studies.options import Machine, RangeTest
from tests.grids import experiment, only, train

TEST = RangeTest()
RATIO = 10 ** (6 / 99)  # of neighbouring rates


def ranges_of(
    problem: str, options: dict[str, Any] | None = None, test: RangeTest = TEST, **grid: Any
) -> list[SettingRange]:
    return range_test(experiment(problem, options, **grid), test, Machine(device="cpu"), Silent)


@pytest.mark.parametrize("condition", ["10", "100", "1000"])
@pytest.mark.parametrize(
    ("optimizer", "times"), [("vanilla", 2), ("momentum", 3.8), ("nesterov", 3.8 / 2.8)]
)
def test_the_edge_on_a_bowl_is_the_limit(condition: str, optimizer: str, times: float) -> None:
    (found,) = ranges_of("quadratic", {"condition": condition}, optimizer=optimizer)
    limit = times / float(condition)
    assert found.limit is not None
    assert found.limit.exact
    assert found.limit.lr == pytest.approx(limit)
    assert found.diverges is not None
    # The first rate above the limit, or the next where the first is hardly above it.
    assert limit < found.diverges < limit * RATIO**2


@pytest.mark.parametrize("problem", ["linear-regression", "quadratic"])
def test_the_best_held_rate_is_below_the_edge(problem: str) -> None:
    (found,) = ranges_of(problem)
    assert found.limit is not None
    assert found.suggested is not None
    assert found.best_held is not None
    assert found.suggested < found.best_held < found.limit.lr


def test_the_suggestion_is_where_the_exact_ramp_is_steepest() -> None:
    (found,) = ranges_of("quadratic", {"condition": "1", "dim": "1"}, RangeTest(smooth=1))
    # With curvature 1 from 1, the loss after the rates so far is the product of (1 - lr)^2 / 2.
    losses = [0.5]
    for lr in found.rates:
        losses.append(losses[-1] * (1 - lr) ** 2)
    kept = [loss for loss in losses if loss <= 1.0]
    falls = {(kept[i + 1] - kept[i - 1]): found.rates[i - 1] for i in range(1, len(kept) - 1)}
    assert found.suggested == falls[min(falls)]
    assert found.ramps[0][:30] == pytest.approx(losses[1:31], rel=1e-12)


def test_a_held_rate_is_a_trial_of_that_rate() -> None:
    (found,) = ranges_of("linear-regression", method="minibatch", seed="3")
    lr, (loss,) = next(iter(found.held.items()))
    alone = only(train("linear-regression", method="minibatch", seed="3", lr=repr(lr), steps="100"))
    assert alone.losses[-1] == loss


def test_a_setting_has_the_same_bits_in_any_grid() -> None:
    many = ranges_of("mlp", {"dataset": "iris"}, optimizer="vanilla,adam", seed="0:2")
    (alone,) = ranges_of("mlp", {"dataset": "iris"}, optimizer="adam", seed="0:2")
    assert alone == many[1]
    assert len(alone.ramps) == 3


def test_the_budget_is_the_test_s_own() -> None:
    (alone,) = ranges_of("quadratic", {"noise": "0.1"}, method="minibatch")
    assert [alone] == ranges_of(
        "quadratic", {"noise": "0.1"}, method="minibatch", epochs="7", record="log"
    )


def test_seeds_are_summed_up_by_their_median() -> None:
    (found,) = ranges_of("mlp", {"dataset": "iris"}, seed="0:2", method="minibatch")
    singles = [
        one
        for seed in "012"
        for one in ranges_of("mlp", {"dataset": "iris"}, seed=seed, method="minibatch")
    ]
    assert found.smooth[40] == sorted(one.smooth[40] for one in singles)[1]


def test_rates_that_all_diverge_have_no_suggestion() -> None:
    (found,) = ranges_of("quadratic", test=RangeTest(lr_from=1, lr_to=10, steps=5))
    assert (found.suggested, found.best_held, found.diverges) == (None, None, 1.0)
    assert math.isinf(found.smooth[-1])


def test_a_suggestion_that_diverges_when_held_is_followed_down() -> None:
    # Momentum takes its time: the ramp has passed the edge before it shows.
    rule: dict[str, Any] = {"method": "sgd", "optimizer": "momentum", "seed": "1"}
    (found,) = ranges_of("linear-regression", {"scale": "none"}, **rule)
    assert found.suggested is not None
    assert found.diverges is not None
    assert found.best_held is not None
    assert found.best_held < found.diverges < found.suggested
    assert min(found.held) == TEST.lr_from


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
    (found,) = ranges_of(problem, test=RangeTest(steps=5, lr_to=1e-3), **grid)
    assert (found.limit and found.limit.exact) is exact


def test_batches_of_a_noisy_bowl_share_its_limit() -> None:
    (found,) = ranges_of("quadratic", {"noise": "0.1"}, method="minibatch")
    assert found.limit is not None
    assert found.diverges is not None
    assert found.limit.lr < found.diverges < found.limit.lr * RATIO**2


def test_rates_are_exact_decimals() -> None:
    rates = RangeTest(lr_from=1e-3, lr_to=10, steps=5).rates()
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
    assert median_end([1.0, math.nan, 3.0], [2.0, 2.0, 4.0]) == 3.0
