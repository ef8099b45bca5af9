"""What is kept of a trajectory whatever is recorded, and what watching it must not change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from gdcli.engine.batch import batches_of, loop_for, train_batch
from gdcli.engine.examples import examples_of
from gdcli.engine.plan import POINTS, SINGLES, Plan, plan_of, watched
from gdcli.engine.watcher import Trajectory, facts
from gdcli.measure import CAUSES
from gdcli.runs.table import FACTS
from tests.grids import experiment

if TYPE_CHECKING:
    from gdcli.engine.recorder import BatchHistory

Facts = dict[str, NDArray[np.floating[Any]]]

# Of every way to take steps: closed form, step by step, blocks of steps, stacked layers, vmap.
CASES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("quadratic", {"condition": "10"}, {"optimizer": "momentum", "lr": "0.1,0.3,5"}),
    ("quadratic", {"condition": "10"}, {"optimizer": "adam", "lr": "0.1"}),
    ("rosenbrock", {}, {"lr": "0.001,0.01", "steps": "150"}),
    ("linear-regression", {"dataset": "diabetes"}, {"lr": "0.1,1", "epochs": "100"}),
    ("linear-regression", {"dataset": "diabetes"}, {"method": "sgd", "lr": "0.01,0.3162"}),
    ("softmax-regression", {"dataset": "iris"}, {"method": "minibatch", "lr": "0.1"}),
    ("mlp", {"dataset": "iris"}, {"method": "minibatch", "lr": "0.1", "epochs": "20"}),
    ("mlp", {"dataset": "iris"}, {"lr": "0.1", "steps": "90"}),
    ("matrix-factorization", {}, {"steps": "90", "lr": "0.01,10"}),
]


def budgeted(grid: dict[str, Any]) -> dict[str, Any]:
    return grid if "steps" in grid else {"epochs": "10"} | grid


def trained(problem: str, options: dict[str, Any], **grid: Any) -> list[BatchHistory]:
    given = experiment(problem, options, **budgeted({"seed": "0:1"} | grid))
    return [
        train_batch(batch, examples_of(batch.trials[0]), "cpu", lambda _: None)[1]
        for batch in batches_of(given.grid.cohorts)
    ]


def facts_of(curves: BatchHistory) -> Facts:
    assert curves.trajectory is not None
    with np.errstate(all="ignore"):
        return facts(curves.trajectory)


@pytest.mark.parametrize(("problem", "options", "grid"), CASES)
def test_facts_do_not_depend_on_what_is_recorded(
    problem: str, options: dict[str, Any], grid: dict[str, Any]
) -> None:
    every, *others = (
        trained(problem, options, **grid, record=record) for record in ("epoch", "7", "log")
    )
    for other in others:
        for curves, expected in zip(other, every, strict=True):
            found, wanted = facts_of(curves), facts_of(expected)
            assert found.keys() == wanted.keys() <= {end.name for end in FACTS}
            for name in found:
                assert_allclose(found[name], wanted[name], rtol=1e-6, atol=1e-12, err_msg=name)


@pytest.mark.parametrize(("problem", "options", "grid"), CASES)
@pytest.mark.parametrize("record", ["epoch", "9", "log"])
def test_watching_changes_no_bit_of_a_curve(
    problem: str, options: dict[str, Any], grid: dict[str, Any], record: str
) -> None:
    given = experiment(problem, options, **budgeted(grid), record=record)
    for batch in batches_of(given.grid.cohorts):
        data = examples_of(batch.trials[0])
        _, seen = train_batch(batch, data, "cpu", lambda _: None)
        with np.errstate(all="ignore"):
            plan = plan_of(batch.trials[0], data.examples)
            alone = loop_for(batch.trials, data, plan, "cpu").run(lambda _: None)
        assert seen.steps == alone.steps
        assert_array_equal(seen.length, alone.length)
        for name, values in alone.values.items():
            assert_array_equal(seen.values[name], values, err_msg=name)


@pytest.mark.parametrize(
    ("problem", "options", "grid", "cause"),
    [
        ("linear-regression", {"dataset": "diabetes"}, {"lr": "1,3", "epochs": "60"}, "growth"),
        (
            "linear-regression",
            {"dataset": "diabetes"},
            {"method": "sgd", "lr": "0.3162,1", "epochs": "2"},
            "growth",
        ),
        ("quadratic", {"condition": "10"}, {"lr": "0.3,0.25", "epochs": "90"}, "growth"),
        ("rosenbrock", {}, {"lr": "0.1,1e100", "steps": "40"}, "growth,overflow"),
        ("matrix-factorization", {}, {"lr": "1e4", "steps": "50"}, "growth"),
    ],
)
@pytest.mark.parametrize("record", ["epoch", "50", "log"])
def test_a_crossing_is_the_first_step_out_of_bounds(
    problem: str, options: dict[str, Any], grid: dict[str, Any], cause: str, record: str
) -> None:
    every, other = (
        trained(problem, options, **grid, record=interval) for interval in ("step", record)
    )
    for curves, expected in zip(other, every, strict=True):
        found = facts_of(curves)
        ends = np.array(expected.steps)[expected.length - 1].tolist()
        assert found["diverged_at"].tolist() == ends
        assert found["diverged_after"].tolist() == [end - 1 for end in ends]
        assert {CAUSES[int(code)] for code in found["diverged_by"]} == set(cause.split(","))


def test_a_loss_in_bounds_crosses_nowhere() -> None:
    (curves,) = trained("quadratic", {}, lr="0.1")
    found = facts_of(curves)
    assert np.isnan(found["diverged_at"]).all()
    assert not found["diverged_by"].any()


@pytest.mark.parametrize("steps", [1, 2, 7, 64, 65, 1000, 10**9])
@pytest.mark.parametrize("stochastic", [False, True])
def test_few_steps_are_watched_the_ends_among_them(steps: int, *, stochastic: bool) -> None:
    found = watched(Plan(90, 9, 10, steps, "epoch"), stochastic=stochastic)
    assert found.steps[0] == 0
    assert found.steps[-1] == steps
    assert len(found.regular) <= POINTS + 1
    assert len(found.steps) <= 2 * POINTS
    assert list(found.steps) == sorted(set(found.steps))
    if stochastic:
        assert all(step % 10 == 0 for step in found.steps[:-1])
    else:
        assert set(found.steps) >= set(range(max(0, steps - SINGLES), steps))


def test_what_turns_back_and_what_goes_straight_on() -> None:
    over_the_kink = {"formula": "abs(w)", "start": "1.05"}
    (back,) = trained("expression", over_the_kink, lr="0.1", steps="40")
    (straight,) = trained("quadratic", {"condition": "1"}, lr="0.1", steps="40")
    assert facts_of(back)["gradient_turn"].tolist() == [-1.0, -1.0]
    assert_allclose(facts_of(straight)["gradient_turn"], 1.0)
    assert facts_of(straight)["late_rises"].tolist() == [0.0, 0.0]


def test_curvature_is_asked_for_where_descent_stands_still() -> None:
    saddle = {"formula": "x**2 - y**2 + y**4", "start": "1,0"}
    (at_a_saddle,) = trained("expression", saddle, lr="0.1", steps="200")
    (falling,) = trained("expression", saddle, lr="0.001", steps="20")
    (at_a_maximum,) = trained("expression", {"formula": "cos(w)", "start": "0"}, lr="0.1")
    assert_allclose(facts_of(at_a_saddle)["lowest_curvature"], -2.0, rtol=1e-4)
    assert np.isnan(facts_of(falling)["lowest_curvature"]).all()
    assert_allclose(facts_of(at_a_maximum)["lowest_curvature"], -1.0, rtol=1e-4)


def test_units_that_are_always_zero_are_counted() -> None:
    grid = {"lr": "0.3,100", "epochs": "60"}
    (curves,) = trained("mlp", {"dataset": "iris", "hidden": "8"}, **grid)
    alive, dead = facts_of(curves)["dead_units"].reshape(2, -1)
    assert np.isnan(alive).all()  # it learned: nobody asks
    assert set(dead) == {1.0}


def test_facts_of_a_series_by_hand() -> None:
    steps = np.array([0, 4, 8, 12, 16])
    losses = np.array([[4.0, 5.0, 1.0, 3.0, 2.0], [1.0, 2.0, np.nan, 9.0, 9.0]]).T
    nothing, unknown = np.array([-1, 8]), np.full(2, np.nan)
    found = facts(
        Trajectory(
            watched(Plan(1, 1, 1, 16, "epoch"), stochastic=True)._replace(
                regular=(0, 4, 8, 12, 16)
            ),
            16,
            steps,
            {"train_loss": losses, "grad_norm": losses / 2},
            last=np.array([16, 8]),
            crossed=nothing,
            within=np.array([-1, 4]),
            cause=np.array([0, 3]),
            turn=unknown,
            curvature=unknown,
            dead=unknown,
        )
    )
    first = {name: values[0] for name, values in found.items()}
    assert [first[f"level_{k}"] for k in (4, 8, 12, 16)] == [5.0, 1.0, 3.0, 2.0]
    assert (first["lowest_train_loss"], first["lowest_train_step"]) == (1.0, 8)
    assert (first["highest_train_loss"], first["highest_train_step"]) == (5.0, 4)
    assert first["largest_late_rise"] == 2.0
    assert np.isnan(first["above_start_from"])
    second = {name: values[1] for name, values in found.items()}
    assert (second["watched"], second["above_start_from"]) == (2, 4)
    assert (second["diverged_after"], second["diverged_at"]) == (4, 8)
    assert (second["highest_train_loss"], second["initial_grad_norm"]) == (2.0, 0.5)
