"""What a run's manifest keeps of its problems, and what is expected of them, read back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from gdcli.analysis.diagnoses import diagnoses_of
from gdcli.analysis.theory import ProblemConstants, RunConstants
from gdcli.engine.examples import examples_of
from gdcli.engine.families.family import family_of, floors_of
from gdcli.executors.execute import execute
from gdcli.runs import manifest
from gdcli.runs.options import RunOptions, Silent
from tests.grids import experiment

if TYPE_CHECKING:
    from pathlib import Path

    from gdcli.runs.csv_read import Value

GIVEN: dict[str, Value] = {
    "method": "gd",
    "batch_size": 354,
    "optimizer": "vanilla",
    "schedule": "constant",
}


def theory(folder: Path, problem: str, options: dict[str, str], **grid: Any) -> RunConstants:
    given = experiment(problem, options, **{"epochs": "1", **grid})
    return RunConstants(manifest.read(execute(given, RunOptions(output=folder), Silent()).folder))


def facts(folder: Path, problem: str, options: dict[str, str], **grid: Any) -> ProblemConstants:
    ((_, found),) = theory(folder, problem, options, **grid).problems
    return found


def test_what_is_computed_comes_back(tmp_path: Path) -> None:
    grid = {
        "method": "minibatch",
        "batch_size": "8,32",
        "order": "replacement",
        "lr": "0.01,0.1,1.9",
    }
    found = facts(tmp_path, "linear-regression", {}, **grid)
    trials = experiment("linear-regression", {}, epochs="1", **grid).grid.trials
    problem, data = trials[0].problem, examples_of(trials[0])
    assert found.curvature == family_of(problem).theory.curvature(problem, data)
    assert found.baseline == family_of(problem).theory.baseline(problem, data)
    assert found.spread == family_of(problem).theory.spread(problem, data)
    assert found.floors == tuple(floors_of(trials, data))
    assert len(found.floors) == 6
    floor = found.floor(32, 0.1)
    assert floor is not None
    assert floor.excess > floor.mean > 0
    unstable = found.floor(8, 1.9)  # as null: JSON has no infinity
    assert unstable is not None
    assert unstable.excess == float("inf")
    assert found.floor(16, 0.1) is None


def test_a_minimum_and_a_bound_that_is_none_are_told_apart(tmp_path: Path) -> None:
    penalised = facts(tmp_path, "logistic-regression", {})
    assert penalised.minimum == pytest.approx(0.0588493598367109)
    assert penalised.infimum is None
    free = facts(tmp_path, "logistic-regression", {"l2": "0"})
    assert (free.minimum, free.infimum) == (None, 0.0)
    network = facts(tmp_path, "mlp", {"dataset": "iris"})
    assert (network.minimum, network.infimum) == (None, None)
    assert network.baseline is not None


def test_each_problem_of_a_grid_has_its_own(tmp_path: Path) -> None:
    found = theory(tmp_path, "logistic-regression", {}, vary={"l2": "0.001,0.1"})
    least = [one.minimum for _, one in found.problems]
    assert least[0] is not None
    assert least[1] is not None
    assert least[0] < least[1]


def test_a_manifest_of_before_opens_without_what_it_lacks() -> None:
    curvature = {"largest": 2.0, "smallest": 0.5, "exact": True, "every_batch": False}
    noise = {"curvatures": [0.0], "variances": [2.0], "exact": False}
    entry = {"problem": "a", "options": {}, "examples": 9, "minimum": None, "noise": noise}
    named = {"problem": "linear-regression", "settings": {"grid": {"order": "replacement"}}}
    content = {
        "experiment": named,
        "data": {"a": "b"},
        "theory": [{**entry, "curvature": curvature}],
    }
    ((_, found),) = RunConstants(content).problems
    assert (found.floors, found.infimum, found.baseline, found.spread) == ((), None, None, None)
    assert found.curvature is not None
    assert found.curvature.slowest == 0.5


def test_nothing_is_expected_where_a_setting_changes(tmp_path: Path) -> None:
    for changing in (None, "momentum.beta=cosine"):
        grid: dict[str, Any] = {"optimizer": "momentum", "steps": "5", "lr": "0.1"}
        grid |= {"schedule_for": changing} if changing else {}
        execute(
            given := experiment("quadratic", **grid),
            RunOptions(output=tmp_path, name=str(changing)[:4]),
            Silent(),
        )
        folder = tmp_path / str(changing)[:4]
        diagnoses = diagnoses_of(folder)
        (trial,) = diagnoses.run.trials
        expected = diagnoses.expected(trial.setting, trial.lr)
        assert expected is not None
        assert (expected.rate is None) == (changing is not None)
        assert given.grid.training.schedule_for == changing
