"""Time to target, from curves made by hand."""

from __future__ import annotations

from math import inf, nan
from typing import TYPE_CHECKING

import pytest

from gdcli.analysis.best import settings_of
from gdcli.analysis.targets import Reached, Target, TimeToTarget, costs, times_to_target
from gdcli.errors import UserError
from gdcli.runs.trials import read_trials, seconds_of
from tests.run_folders import EXAMPLES, Made, write_run

if TYPE_CHECKING:
    from pathlib import Path


def times(folder: Path, trials: list[Made], target: Target) -> list[Reached]:
    run = read_trials(write_run(folder, trials))
    return list(times_to_target(settings_of(run.trials), costs(folder, run, target)))


def loss(value: float) -> Target:
    return Target("train_loss", value)


def test_the_first_recorded_point_at_the_target_counts(tmp_path: Path) -> None:
    (found,) = times(tmp_path, [Made([9.0, nan, 4.0, 3.0, 5.0, 1.0])], loss(3.0))
    assert (found.cost, found.reached) == (TimeToTarget(3, 3.0, 3 * EXAMPLES, None), 1)


def test_the_rate_with_the_fewest_examples_is_shown_by_its_medians(tmp_path: Path) -> None:
    slow = [Made([9.0, 5.0, 3.0, 1.0], lr=0.1, seed=seed) for seed in range(3)]
    fast = [Made([9.0, 1.0], lr=0.2, seed=seed) for seed in range(2)]
    lost = Made([9.0, inf], lr=0.2, seed=2, status="diverged")
    (found,) = times(tmp_path, [*slow, *fast, lost], loss(1.0))
    assert found.candidate is not None
    assert (found.candidate.lr, found.reached, found.cost.steps) == (0.2, 2, 1)


def test_where_most_seeds_never_are_there_is_no_rate(tmp_path: Path) -> None:
    trials = [Made([9.0, 1.0]), *(Made([9.0, 5.0], seed=seed) for seed in (1, 2))]
    (found,) = times(tmp_path, [*trials, Made([], seed=3, status="failed")], loss(1.0))
    assert (found.candidate, found.cost.steps) == (None, inf)
    failed = Made([], status="failed")
    (found,) = times(tmp_path, [failed], loss(1.0))
    assert (found.candidate, found.reached) == (None, 0)


def test_a_metric_is_reached_from_the_side_on_which_most_start(tmp_path: Path) -> None:
    rising = [Made([0.1, 0.5, 0.9]), Made([0.95, 0.2, 0.9], seed=1), Made([0.1, 0.9], seed=2)]
    folder = write_run(tmp_path, rising)
    run, file = read_trials(folder), folder / "curves.csv"
    file.write_text(file.read_text().replace("train_loss", "score"))  # a metric, by its name
    steps = [cost.steps for cost in costs(folder, run, Target("score", 0.9)).values()]
    assert steps == [2, 0, 1]


def test_seconds_are_the_trials_share_up_to_the_target(tmp_path: Path) -> None:
    trials = [Made([9.0, 1.0, 0.5, 0.25, 0.1], seed=seed) for seed in range(3)]
    folder = write_run(tmp_path, trials)
    (folder / "timings.csv").write_text("batch,cohort,trials,seconds\n0,gd,2,8.0\n1,gd,1,0.0\n")
    run = read_trials(folder)
    first, second, third = trials
    assert seconds_of(folder, run) == {first.identity: 4.0, second.identity: 4.0}
    found = costs(folder, run, loss(1.0))
    assert [found[made.identity].seconds for made in (first, second, third)] == [1.0, 1.0, None]
    (one,) = times_to_target(settings_of(run.trials), found)
    assert one.cost.seconds is None  # that of a batch that was copied is not known


def test_a_column_that_is_not_there_is_named(tmp_path: Path) -> None:
    run = read_trials(write_run(tmp_path, [Made([1.0])]))
    with pytest.raises(UserError, match=r"curves\.csv:1: there is no column f1"):
        costs(tmp_path, run, Target("f1", 0.5))
    (tmp_path / "timings.csv").write_text("a,b\n")
    with pytest.raises(UserError, match=r"timings\.csv:1: the columns trials and seconds"):
        seconds_of(tmp_path, run)
    for count in ("1e308", "-1", "nan"):
        (tmp_path / "timings.csv").write_text(f"batch,trials,seconds\n0,{count},1\n")
        with pytest.raises(UserError, match=r"timings\.csv:2: its trials and seconds cannot be"):
            seconds_of(tmp_path, run)
