"""Quartiles where trials diverged, and curves epoch by epoch."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdcli.analysis.quantiles import last_quarter, median, quantile, spread, spread_curve
from gdcli.runs.trials import Curve, TrialResult, read_curves, read_trials
from tests.run_folders import Made, grid, write_run

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def read(
    folder: Path, wanted: Iterable[str] | None = None, measure: str = "train_loss"
) -> dict[str, Curve]:
    chosen = None if wanted is None else set(wanted)
    return {curve.trial: curve for curve in read_curves(folder, ("epoch", measure), chosen)}


def medians(trials: Iterable[TrialResult], curves: dict[str, Curve]) -> list[tuple[float, float]]:
    band = spread_curve(trials, curves, "train_loss")
    return [(epoch, losses.median) for epoch, losses in band]


@given(st.lists(st.floats(-1e9, 1e9), min_size=1), st.floats(0, 1))
def test_quantiles_are_numpys(values: list[float], share: float) -> None:
    ours = quantile(sorted(values), share)
    assert ours == pytest.approx(np.quantile(values, share), rel=1e-9, abs=1e-6)


@given(st.lists(st.floats(0, allow_nan=False), min_size=1))
def test_quartiles_of_infinite_losses_are_ordered_and_no_nan(values: list[float]) -> None:
    found = spread(values)
    assert min(values) <= found.low <= found.median <= found.high <= max(values)


def test_a_median_is_infinite_when_half_of_the_values_are() -> None:
    assert median([1.0, inf, 2.0]) == 2.0
    assert median([1.0, inf]) == inf
    assert median([inf, inf, 2.0]) == inf


def test_the_median_curve_holds_a_trial_that_ended_and_lifts_one_that_diverged(
    tmp_path: Path,
) -> None:
    trials = [
        Made([8.0, 4.0, 2.0, 1.0], seed=0),
        Made([8.0, 3.0], seed=1),
        Made([8.0, 9.0, 1e12], seed=2, status="diverged"),
    ]
    folder = write_run(tmp_path, trials)
    run = read_trials(folder)
    curves = read(folder)
    assert medians(run.trials, curves) == [(0, 8.0), (1, 4.0), (2, 3.0), (3, 3.0)]
    assert medians(run.trials[2:], curves) == [(0, 8.0), (1, 9.0), (2, 1e12)]
    assert medians(run.trials[::2], curves)[3] == (3, inf)


def test_the_median_curve_is_the_median_where_all_trials_recorded(tmp_path: Path) -> None:
    folder = write_run(tmp_path, grid(lrs=[0.1], seeds=5)[:5])
    run = read_trials(folder)
    curves = read(folder)
    losses = np.median([curves[trial.id].values["train_loss"] for trial in run.trials], axis=0)
    assert [loss for _, loss in medians(run.trials, curves)] == pytest.approx(losses)


def test_the_quartiles_of_a_curve_are_those_of_its_seeds(tmp_path: Path) -> None:
    folder = write_run(tmp_path, [Made([float(k), inf], seed=k) for k in range(5)])
    run = read_trials(folder)
    first, last = spread_curve(run.trials, read(folder), "train_loss")
    assert first[1] == spread([0, 1, 2, 3, 4])
    assert (last[1].low, last[1].high, last[1].count) == (inf, inf, 5)


def test_no_trial_with_a_curve_has_no_points(tmp_path: Path) -> None:
    run = read_trials(write_run(tmp_path, [Made([], status="failed")]))
    assert medians(run.trials, {}) == []


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=60))
def test_the_last_quarter_is_at_the_end(values: list[float]) -> None:
    last = last_quarter(values)
    assert 0 < len(last) <= len(values) / 2
    assert values[-len(last) :] == last


@pytest.mark.parametrize(("count", "last"), [(2, 1), (7, 3), (8, 4), (15, 4), (16, 4), (40, 10)])
def test_a_quarter_has_four_values_where_there_are_enough(count: int, last: int) -> None:
    assert len(last_quarter([1.0] * count)) == last
