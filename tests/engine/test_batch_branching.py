"""Several horizons of one trunk: fewer steps, and the bytes of each horizon alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from gdcli.engine.batch import batches_of, longer_runs, shared_steps
from gdcli.engine.update import Stepper
from gdcli.errors import UserErrors
from gdcli.executors.execute import execute
from gdcli.runs.csv_read import lines_of
from gdcli.runs.options import RunOptions, Silent
from tests.grids import experiment

if TYPE_CHECKING:
    from pathlib import Path

WSD: dict[str, Any] = {
    "schedule": "wsd",
    "vary": {"wsd.cooldown": "0.1", "wsd.warmup-steps": "5"},
}
CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "network": (
        "mlp",
        {"dataset": "iris"},
        {"method": "minibatch", "optimizer": "momentum", "lr": "0.01,0.1,1e9", "seed": "0:1"},
    ),
    "plain network": (
        "mlp",
        {"dataset": "iris"},
        {"method": "minibatch", "lr": "0.05,1e9", "record": "7"},
    ),
    "full batches": ("mlp", {"dataset": "iris"}, {"record": "log", "lr": "0.1,30"}),
    "linear": (
        "linear-regression",
        {"dataset": "diabetes"},
        {"method": "sgd", "lr": "0.001,0.02,0.03", "record": "11"},
    ),
    "surface": ("rosenbrock", {}, {"optimizer": "adam", "lr": "0.01", "record": "30"}),
    "divergence on the trunk": ("rosenbrock", {}, {"lr": "0.001,0.0036,0.004", "record": "50"}),
    "methods": (
        "mlp",
        {"dataset": "iris"},
        {
            "method": "minibatch",
            "optimizer": "muon+adamw,adamw+ema,momentum+sam,soap,momentum+accumulate",
            "lr": "0.01,0.1,1e9",
            "record": "13",
        },
    ),
    "searches": ("logistic-regression", {}, {"optimizer": "lbfgs,armijo", "lr": "1"}),
    "decay": (
        "softmax-regression",
        {"dataset": "iris"},
        {
            "method": "minibatch",
            "weight_decay": "0.1",
            "schedule_for": "weight-decay=wsd(cooldown=0.1,warmup-steps=3)",
        },
    ),
}


def vary(grid: dict[str, Any], **more: str) -> dict[str, Any]:
    return {**grid, "vary": {**grid["vary"], **more}}


def run(folder: Path, name: str, problem: str, options: Any, **grid: Any) -> dict[str, Any]:
    """Run a grid in this process; return the lines of both tables by trial."""
    given = RunOptions(output=folder, name=name, workers=1)
    path = execute(experiment(problem, options, **grid), given, Silent()).folder
    tables = ((path / table).read_bytes() for table in ("curves.csv", "summary.csv"))
    curves, summary = (lines_of(table.partition(b"\n")[2]) for table in tables)
    return {trial: (curves[trial], summary[trial]) for trial in summary}


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that gets the number of steps of every advance of a stepper."""
    counts: list[int] = []
    advance = Stepper.advance

    def counted(self: Any, state: Any, last: int, gradient: Any = None) -> Any:
        counts.append(last - state.step)
        return advance(self, state, last, gradient)

    monkeypatch.setattr(Stepper, "advance", counted)
    return counts


@pytest.mark.parametrize("case", CASES)
def test_each_horizon_has_the_bytes_that_it_has_alone(case: str, tmp_path: Path) -> None:
    problem, options, grid = CASES[case]
    grid = {**WSD, **grid}
    together = run(tmp_path, "all", problem, options, **vary(grid, steps="120,60,90"))
    assert len(together) % 3 == 0
    alone: dict[str, Any] = {}
    for steps in ("60", "90", "120"):
        alone |= run(tmp_path, steps, problem, options, **vary(grid, steps=steps))
    assert together == alone


@pytest.mark.parametrize("optimizer", ["adam", "adam+ema", "lamb"])
def test_four_horizons_take_fewer_than_half_of_the_steps(
    optimizer: str, tmp_path: Path, taken: list[int]
) -> None:
    grid = vary({**WSD, "optimizer": optimizer}, steps="1000,2000,3000,4000")
    found = run(tmp_path, "a", "rosenbrock", {}, **grid)
    assert len(found) == 4
    # The longest run, and the other cooldowns but for their first steps, whose multiplier is 1.
    assert sum(taken) == 4000 + 99 + 199 + 299
    assert 2 * sum(taken) < 1000 + 2000 + 3000 + 4000


def test_workers_take_the_horizons_one_after_the_other(tmp_path: Path) -> None:
    grid = vary({**WSD, "optimizer": "adam,momentum"}, steps="40,80,120")
    one = run(tmp_path, "one", "rosenbrock", {}, **grid)
    given = RunOptions(output=tmp_path, name="two", workers=2)
    path = execute(experiment("rosenbrock", {}, **grid), given, Silent()).folder
    for table in ("curves.csv", "summary.csv"):
        assert (path / table).read_bytes() == (tmp_path / "one" / table).read_bytes()
    assert len(one) == 6


def test_a_run_that_was_stopped_on_a_branch_takes_the_trunk_from_its_checkpoint(
    tmp_path: Path, taken: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = vary({**WSD, "optimizer": "adam"}, steps="1000,2000")
    expected = run(tmp_path, "a", "rosenbrock", {}, **grid)
    taken.clear()
    advance = Stepper.advance

    def stopping(self: Any, state: Any, last: int, gradient: Any = None) -> Any:
        if last > 1000:
            raise KeyboardInterrupt
        return advance(self, state, last, gradient)

    with monkeypatch.context() as patched:
        patched.setattr(Stepper, "advance", stopping)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, "b", "rosenbrock", {}, **grid)
    taken.clear()
    assert run(tmp_path, "b", "rosenbrock", {}, **grid) == expected
    assert sum(taken) == 2000 - 901


def test_a_constant_learning_rate_is_all_trunk_and_a_share_of_the_run_none() -> None:
    def shared(**grid: Any) -> int:
        given = experiment("rosenbrock", **grid).grid.trials
        return shared_steps(given, 100, 200)

    assert shared() == 100
    assert shared(schedule="reduce-on-plateau") == 100
    assert shared(schedule="inverse-time") == 100
    assert shared(schedule="cosine") == 0
    assert shared(schedule="wsd") == 0
    assert shared(schedule="wsd", vary={"wsd.warmup-steps": "3"}) == 81
    assert shared(schedule="step") == 34
    assert shared(optimizer="adam+lookahead+ema") == 100
    assert shared(optimizer="adam+swa") == 0  # it averages from a share of the run on


def test_what_differs_besides_the_budget_has_no_trunk() -> None:
    batches = batches_of(experiment("quadratic", vary={"steps": "5,9"}).grid.cohorts)
    assert longer_runs(batches) == {0: (1,)}
    given = experiment("quadratic", vary={"steps": "5,9"}, lr="0.1,0.2", zip=["lr,steps"])
    assert longer_runs(batches_of(given.grid.cohorts)) == {}


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ({"steps": "5,9"}, "--vary steps=5,9"),
        ({"epochs": "5,9"}, "--vary epochs=5,9"),
        ({"vary": {"steps": "5,9"}, "epochs": "3"}, "steps varies"),
        ({"vary": {"steps": "5,9"}, "steps": "3"}, "steps varies"),
        ({"vary": {"steps": "5,9", "epochs": "3"}}, "steps varies"),
        ({"vary": {"steps": "0,9"}}, "less than 1"),
    ],
)
def test_mistakes_are_one_line(grid: dict[str, Any], message: str) -> None:
    with pytest.raises(UserErrors) as found:
        experiment("quadratic", **grid)
    (error,) = found.value.errors
    assert message in str(error)
