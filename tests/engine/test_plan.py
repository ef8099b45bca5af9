"""Steps of a trial: how many, what they see, and which are recorded."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gdcli.engine.plan import MOST_POINTS, Plan, plan_of
from gdcli.errors import UserError
from gdcli.experiment.training import MOST_STEPS
from tests.grids import experiment

RECORDS = st.sampled_from(["epoch", "step", "log"]) | st.integers(1, 5000).map(str)


def plan(examples: int, **grid: Any) -> Plan:
    """Return the plan of a linear regression on that many examples."""
    return plan_of(experiment("linear-regression", **grid).grid.trials[0], examples)


plans = st.builds(
    plan,
    st.integers(2, 60),
    method=st.sampled_from(["gd", "sgd", "minibatch"]),
    batch_size=st.integers(1, 2).map(str),
    remainder=st.sampled_from(["keep", "drop"]),
    steps=st.integers(1, 3000).map(str),
    record=RECORDS,
)


@pytest.mark.parametrize(
    ("method", "size", "remainder", "per_epoch", "seen", "batch"),
    [
        ("gd", "7", "keep", 1, 100, 100),
        ("gd", "7", "drop", 1, 100, 100),
        ("sgd", "7", "keep", 100, 100, 1),
        ("minibatch", "7", "keep", 15, 100, 7),
        ("minibatch", "7", "drop", 14, 98, 7),
        ("minibatch", "25", "keep", 4, 100, 25),
        ("minibatch", "25", "drop", 4, 100, 25),
        ("minibatch", "51", "keep", 2, 100, 51),
        ("minibatch", "51", "drop", 1, 51, 51),
        ("minibatch", "100", "drop", 1, 100, 100),
        ("minibatch", "1", "keep", 100, 100, 1),
    ],
)
def test_an_epoch_has_as_many_steps_as_the_data_give(  # noqa: PLR0913, PLR0917 -- a row of a table
    method: str, size: str, remainder: str, per_epoch: int, seen: int, batch: int
) -> None:
    made = plan(100, method=method, batch_size=size, remainder=remainder, epochs="3")
    assert made.steps_per_epoch == per_epoch
    assert made.steps == 3 * per_epoch
    assert made.examples_per_epoch == seen
    assert made.batch_size == batch


def test_the_budget_is_steps_where_they_are_given_else_epochs_else_the_problems_own() -> None:
    assert plan(100, method="sgd", steps="7").steps == 7
    assert plan(100, method="sgd", epochs="7").steps == 700
    assert plan(100, method="sgd").steps == 100 * 100  # LinearRegression.default_epochs


@pytest.mark.parametrize(
    ("record", "steps", "points"),
    [
        ("step", 4, [0, 1, 2, 3, 4]),
        ("epoch", 30, [0, 10, 20, 30]),
        ("epoch", 25, [0, 10, 20, 25]),
        ("epoch", 3, [0, 3]),
        ("4", 8, [0, 4, 8]),
        ("4", 9, [0, 4, 8, 9]),
        ("100", 9, [0, 9]),
        ("log", 1, [0, 1]),
        ("log", 2, [0, 1, 2]),
        ("log", 3, [0, 1, 2, 3]),
        ("log", 8, [0, 1, 2, 4, 8]),
        ("log", 9, [0, 1, 2, 4, 8, 9]),
    ],
)
def test_points_that_are_recorded(record: str, steps: int, points: list[int]) -> None:
    made = plan(100, method="minibatch", batch_size="10", steps=str(steps), record=record)
    assert list(made.points()) == points


@settings(max_examples=300)
@given(plans)
def test_points_ascend_from_0_to_the_last_step_and_are_counted(made: Plan) -> None:
    points = list(made.points())
    assert points[0] == 0
    assert points[-1] == made.steps
    assert all(a < b for a, b in pairwise(points))
    assert made.recorded == len(points)


@settings(max_examples=100)
@given(plans, st.integers(0, 3000))
def test_examples_seen_are_the_sum_of_the_batches_so_far(made: Plan, step: int) -> None:
    left_over = made.examples_per_epoch - (made.steps_per_epoch - 1) * made.batch_size
    sizes = [made.batch_size] * (made.steps_per_epoch - 1) + [left_over]
    assert 0 < left_over <= made.batch_size
    seen = sum(sizes[i % made.steps_per_epoch] for i in range(step))
    assert made.examples_at(step) == seen


def test_epochs_are_whole_where_a_pass_ends() -> None:
    made = plan(10, method="minibatch", batch_size="4", epochs="4")  # 4, 4 and 2 examples
    assert [made.epoch_at(step) for step in (0, 1, 3, 4, 12)] == [0, 1 / 3, 1, 4 / 3, 4]
    assert [type(made.epoch_at(step)) for step in (0, 1, 3)] == [int, float, int]
    # Beyond 2^53 a float would no longer be the step's own epoch.
    assert plan(10, method="gd").epoch_at(MOST_STEPS) == MOST_STEPS


@pytest.mark.parametrize(
    ("examples", "grid", "what", "fix"),
    [
        (
            20,
            {"method": "minibatch", "batch_size": "21"},
            "--batch-size: 21 is larger than the 20 training examples",
            "use --method gd or at most 20",
        ),
        (
            1,
            {"method": "sgd"},
            "--method: sgd is the same as gd here: there is only one example",
            "use --method gd",
        ),
        (
            1,
            {"method": "minibatch", "batch_size": "1"},
            "--method: minibatch is the same as gd here: there is only one example",
            "use --method gd",
        ),
        (
            1000,
            {"method": "sgd", "epochs": str(2**50), "record": "log"},
            f"--epochs: {2**50} epochs are {1000 * 2**50} steps",
            f"at most {2**53 - 1}",
        ),
        (
            1000,
            {"method": "sgd", "epochs": "10001", "record": "step"},
            "--record: step records 10001001 points a trial",
            "record less often: at most 10000000",
        ),
        (
            20,
            {"steps": str(MOST_STEPS), "record": "3"},
            f"--record: 3 records {MOST_STEPS // 3 + 2} points a trial",
            "record less often: at most 10000000",
        ),
    ],
)
def test_what_cannot_be_is_said_with_what_could(
    examples: int, grid: dict[str, str], what: str, fix: str
) -> None:
    with pytest.raises(UserError) as caught:
        plan(examples, **grid)
    assert str(caught.value) == f"{what}; {fix}"


def test_the_largest_budgets_are_taken() -> None:
    longest = plan(20, steps=str(MOST_STEPS), record="log")
    assert longest.recorded == len(list(longest.points())) == 55
    assert plan(20, steps=str(MOST_POINTS - 1), record="step").recorded == MOST_POINTS
