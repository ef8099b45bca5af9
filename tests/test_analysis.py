"""Settings at their best learning rates, over the seeds."""

from __future__ import annotations

from math import inf, nan
from typing import TYPE_CHECKING

from gdcli.analysis.best import Setting, settings_of
from gdcli.analysis.quantiles import spread
from gdcli.runs.trials import read_trials
from tests.run_folders import Made, grid, write_run

if TYPE_CHECKING:
    from pathlib import Path


def settings(folder: Path, trials: list[Made], *varied: str) -> tuple[Setting, ...]:
    return settings_of(read_trials(write_run(folder, trials, varied)).trials)


def test_the_best_learning_rate_has_the_lowest_median_loss(tmp_path: Path) -> None:
    vanilla, momentum = settings(tmp_path, grid())
    assert vanilla.values == ("gd", 100, "vanilla", "constant")
    assert [cell.lr for cell in vanilla.candidates] == [0.01, 0.1, 1.0]
    assert vanilla.best is vanilla.candidates[1]
    assert vanilla.candidates[2].median == inf
    assert momentum.best is momentum.candidates[1]


def test_statistics_are_over_the_seeds_and_diverged_trials_count_as_infinite(
    tmp_path: Path,
) -> None:
    trials = [Made([9.0, loss], seed=seed) for seed, loss in enumerate([4.0, 1.0, 3.0])]
    lost = [Made([9.0, 2e9], seed=3, status="diverged"), Made([9.0, nan], seed=4)]
    (setting,) = settings(tmp_path, [*trials, *lost])
    assert setting.best is not None
    assert setting.best.loss == spread([4.0, 1.0, 3.0, inf, inf])
    assert setting.best.diverged == 1


def test_failed_trials_have_no_part_in_the_statistics(tmp_path: Path) -> None:
    trials = [Made([], seed=0, status="failed", message="boom"), Made([9.0, 2.0], seed=1)]
    (setting,) = settings(tmp_path, trials)
    assert setting.best is not None
    assert setting.best.loss == spread([2.0])
    assert [trial.message for trial in setting.trials] == ["boom", ""]


def test_there_is_no_best_where_all_diverged_or_failed(tmp_path: Path) -> None:
    diverged = Made([1.0, inf], status="diverged")
    failed = Made([], status="failed", optimizer="adam")
    for setting in settings(tmp_path, [diverged, failed]):
        assert setting.best is None
        assert setting.median == inf


def test_of_equal_losses_the_smaller_learning_rate_is_best(tmp_path: Path) -> None:
    (setting,) = settings(tmp_path, [Made([1.0, 0.5], lr=lr) for lr in (0.3, 0.1, 0.2)])
    assert setting.best is not None
    assert setting.best.lr == 0.1


def test_test_losses_and_metrics_are_medians_over_the_seeds(tmp_path: Path) -> None:
    trials = [
        Made([1.0], seed=0, test_losses=[5.0], metrics=[0.5]),
        Made([2.0], seed=1, test_losses=[7.0], metrics=[nan]),
        Made([3.0], seed=2, test_losses=[6.0], metrics=[0.75]),
        Made([inf], seed=3, test_losses=[inf], metrics=[0.0], status="diverged"),
    ]
    run = read_trials(write_run(tmp_path, trials, metrics=["accuracy"]))
    assert run.metrics == ("accuracy",)
    (setting,) = settings_of(run.trials)
    assert setting.best is not None
    assert setting.best.test_loss() == 6.5
    assert setting.best.metric("accuracy") == 0.625


def test_without_a_test_set_there_is_no_test_loss(tmp_path: Path) -> None:
    (setting,) = settings(tmp_path, [Made([1.0])])
    assert setting.best is not None
    assert setting.best.test_loss() is None


def test_rates_that_end_as_low_are_tied_and_the_soonest_is_best(tmp_path: Path) -> None:
    slow = [1.0 if k < 20 else 0.0 for k in range(33)]
    rates = {0.1: slow, 0.2: [1.0, *[1e-5] * 32], 0.3: [1.0, *[1e-3] * 32]}
    (setting,) = settings(tmp_path, [Made(losses, lr=lr) for lr, losses in rates.items()])
    assert [cell.lr for cell in setting.tied] == [0.1, 0.2]
    assert setting.best is setting.candidates[1]
    assert setting.median == 1e-5
    assert (setting.candidates[0].fallen, setting.candidates[1].fallen) == (20, 1)


def test_a_cell_that_never_falls_takes_for_ever(tmp_path: Path) -> None:
    (setting,) = settings(tmp_path, [Made([1.0, 1.5]), Made([], lr=1, status="failed")])
    assert [cell.fallen for cell in setting.candidates] == [inf, inf]
