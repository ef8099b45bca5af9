"""Statistics over seeds: intervals, the test of signed ranks, held-out choices, sensitivity."""

from __future__ import annotations

import itertools
import random
from math import inf, nan
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from gdcli.analysis.best import Setting, settings_of
from gdcli.analysis.diagnoses import Diagnoses
from gdcli.analysis.seeds import (
    good_region,
    held_out,
    holm,
    median_interval,
    pairs,
    seed_statistics,
    signed_rank_p,
)
from gdcli.report.comparison import PAIR_NOTES, pair_rows
from gdcli.report.results import best_lines, best_rows
from gdcli.report.views.seeds import seed_rows
from gdcli.runs.trials import read_trials
from tests.run_folders import Made, grid, write_run

if TYPE_CHECKING:
    from pathlib import Path


def settings(folder: Path, trials: list[Made]) -> tuple[Setting, ...]:
    return settings_of(read_trials(write_run(folder, trials)).trials)


def normal(seed: int, count: int) -> list[float]:
    draw = random.Random(seed)  # noqa: S311 - noise is no secret
    return [draw.gauss(0.3, 1) for _ in range(count)]


@pytest.mark.parametrize("count", [1, 2, 3, 5, 12, 30, 50])
def test_the_exact_p_value_is_scipys(count: int) -> None:
    for seed in range(5):
        values = normal(seed, count)
        expected = stats.wilcoxon(values, method="exact").pvalue
        assert signed_rank_p(values) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("count", [60, 200])
def test_the_p_value_of_many_differences_is_scipys(count: int) -> None:
    values = [round(value, 1) for value in normal(1, count)]  # with ties
    expected = stats.wilcoxon(values, method="asymptotic", zero_method="wilcox").pvalue
    assert signed_rank_p(values) == pytest.approx(expected, rel=1e-9)


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=9))
def test_with_ties_it_is_the_share_of_all_signs(values: list[int]) -> None:
    sizes = [abs(value) for value in values if value]
    found = signed_rank_p([float(value) for value in values])
    if not sizes:
        assert found is None
        return
    ranks = stats.rankdata(sizes)
    positive = sum(r for r, v in zip(ranks, (v for v in values if v), strict=True) if v > 0)
    least = min(positive, ranks.sum() - positive)
    signs = itertools.product((0, 1), repeat=len(ranks))
    tail = np.mean([np.dot(ranks, sign) <= least + 1e-9 for sign in signs])
    assert found == pytest.approx(min(1.0, 2 * float(tail)))


def test_infinite_differences_have_the_highest_ranks() -> None:
    assert signed_rank_p([1.0, 2.0, inf]) == signed_rank_p([1.0, 2.0, 3.0]) == 0.25
    assert signed_rank_p([-inf, inf]) == 1.0


def test_the_interval_is_about_scipys_and_always_the_same() -> None:
    values = normal(3, 25)
    found = median_interval(values)
    assert found is not None
    assert found == median_interval(values)
    one = stats.bootstrap((values,), np.median, method="percentile", rng=0, n_resamples=4000)
    expected = one.confidence_interval
    width = expected.high - expected.low
    assert found.low == pytest.approx(expected.low, abs=0.1 * width)
    assert found.high == pytest.approx(expected.high, abs=0.1 * width)


@given(st.lists(st.floats(allow_nan=False), min_size=3, max_size=12))
def test_an_interval_holds_the_median_and_no_nan(values: list[float]) -> None:
    found = median_interval(values)
    assert found is not None
    assert min(values) <= found.low <= found.high <= max(values)
    if not {inf, -inf} & set(values) and len(values) % 2:
        assert found.low <= np.median(values) <= found.high


def test_an_interval_covers_the_median_about_as_often_as_it_says() -> None:
    draw = random.Random(7)  # noqa: S311 - noise is no secret
    covered = 0
    for _ in range(400):
        found = median_interval([draw.gauss(0, 1) for _ in range(15)])
        assert found is not None
        covered += found.low <= 0 <= found.high
    assert covered / 400 == pytest.approx(0.95, abs=0.035)


def test_of_two_numbers_there_is_no_interval() -> None:
    assert median_interval([1.0, 2.0]) is None


def seeded(losses_by_lr: dict[float, list[float]]) -> list[Made]:
    return [
        Made([100.0, loss], lr=lr, seed=seed)
        for lr, losses in losses_by_lr.items()
        for seed, loss in enumerate(losses)
    ]


def test_one_half_chooses_and_the_other_reports(tmp_path: Path) -> None:
    # Seeds 0 and 2 choose 0.1 for its luck with them; seeds 1 and 3 tell what it is worth.
    (setting,) = settings(tmp_path, seeded({0.1: [1.0, 9.0, 1.0, 7.0], 0.2: [2.0] * 4}))
    found = held_out(setting)
    assert found is not None
    assert (found.lr, found.loss.median, found.loss.count) == (0.1, 8.0, 2)


def test_a_rate_at_which_a_choosing_seed_failed_is_not_chosen(tmp_path: Path) -> None:
    trials = seeded({0.1: [1.0, 1.0, 1.0, 1.0], 0.2: [2.0] * 4})
    trials[0] = Made([], lr=0.1, seed=0, status="failed")
    (setting,) = settings(tmp_path, trials)
    found = held_out(setting)
    assert found is not None
    assert found.lr == 0.2


def test_nothing_is_held_out_of_three_seeds_or_of_none_that_ran(tmp_path: Path) -> None:
    (setting,) = settings(tmp_path, seeded({0.1: [1.0, 2.0, 3.0]}))
    assert held_out(setting) is None
    lost = [Made([1.0, inf], seed=seed, status="diverged") for seed in range(4)]
    (setting,) = settings(tmp_path, lost)
    assert held_out(setting) is None
    assert seed_statistics(setting).good is None


def test_the_good_region_is_the_rates_around_the_best(tmp_path: Path) -> None:
    medians = {0.01: 5.0, 0.03: 50.0, 0.1: 9.0, 0.3: 0.0, 1.0: 10.0, 3.0: 11.0}
    (setting,) = settings(tmp_path, seeded({lr: [loss] for lr, loss in medians.items()}))
    found = good_region(setting)
    assert found is not None
    assert (found.low, found.high, found.rates) == (0.1, 1.0, 3)


def test_without_a_fall_the_best_rate_alone_is_good(tmp_path: Path) -> None:
    (setting,) = settings(tmp_path, seeded({0.1: [100.0], 0.2: [101.0]}))
    found = good_region(setting)
    assert found is not None
    assert (found.low, found.high) == (0.1, 0.1)
    (nowhere,) = settings(tmp_path, [Made([nan, 1.0])])
    assert good_region(nowhere) is None


def test_settings_are_paired_with_the_best_over_shared_seeds(tmp_path: Path) -> None:
    good = [Made([9.0, 1.0 + seed], seed=seed) for seed in range(4)]
    worse = [Made([9.0, 3.0 + 2 * seed], seed=seed, optimizer="adam") for seed in range(1, 5)]
    (pair,) = pairs(settings(tmp_path, [*good, *worse]), lambda _: "one problem")
    assert pair.first.values[2] == "vanilla"
    assert (pair.seeds, pair.difference) == (3, 4.0)  # 3, 4 and 5 over seeds 1 to 3
    assert pair.p == pytest.approx(0.25)


def test_seeds_that_diverged_count_and_two_that_did_are_equal(tmp_path: Path) -> None:
    def made(losses: list[float], optimizer: str) -> list[Made]:
        return [Made([9.0, y], seed=k, optimizer=optimizer) for k, y in enumerate(losses)]

    trials = [*made([1.0, 1.0, inf], "vanilla"), *made([inf, inf, inf], "adam")]
    (pair,) = pairs(settings(tmp_path, trials), lambda _: "")
    assert (pair.difference, pair.p) == (inf, 0.5)
    trials = [*made([1.0, 2.0, inf, inf, 1.0], "vanilla"), *made([inf, inf, 1.0, 1.0, 1.0], "adam")]
    (pair,) = pairs(settings(tmp_path, trials), lambda _: "")
    assert pair.difference is not None
    assert pair.p == 1.0


def test_settings_of_different_problems_or_seeds_are_not_compared(tmp_path: Path) -> None:
    trials = [Made([9.0, 1.0]), Made([9.0, 2.0], optimizer="adam")]
    assert list(pairs(settings(tmp_path, trials), lambda s: s.values)) == []
    (pair,) = pairs(settings(tmp_path, [trials[0], Made([9.0], seed=1, optimizer="adam")]), len_of)
    assert (pair.seeds, pair.difference, pair.p) == (0, None, None)


def len_of(setting: Setting) -> int:
    return len(setting.values)


def test_rows_have_the_figures_in_full(tmp_path: Path) -> None:
    run = read_trials(write_run(tmp_path, grid(seeds=6)))
    first, second = seed_rows(Diagnoses(run, None))
    assert (first["optimizer"], first["lr"], first["seeds"]) == ("vanilla", 0.1, 6)
    assert first["held_out_seeds"] == 3
    assert (second["good_from"], second["good_to"], second["good_rates"]) == (0.1, 0.1, 1)
    (pair,) = pair_rows(run)
    assert (pair["setting"], pair["best"]) == ("gd vanilla", "gd momentum")
    assert pair["p"] == pair["p_holm"] == pytest.approx(0.03125)
    assert (pair["best_tried"], pair["tried"]) == (3, 3)
    assert first["lr_tried"] == 3
    names = list(first)
    assert names.index("held_out_loss") < names.index("train_loss")


def test_holms_correction_is_statsmodels() -> None:
    # statsmodels 0.14, multipletests(values, method="holm").
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, None, 0.02, 0.9]) == pytest.approx([1.0, None, 0.06, 1.0])
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holms_correction_rejects_step_by_step(values: list[float]) -> None:
    for level in (0.01, 0.05, 0.3):
        left, rejected = sorted(values), 0
        while left and left[0] * len(left) <= level:
            left, rejected = left[1:], rejected + 1
        assert (
            sum(p is not None and p <= level for p in holm(list[float | None](values))) == rejected
        )


def test_pairs_are_corrected_within_their_problem(tmp_path: Path) -> None:
    def made(optimizer: str, add: float) -> list[Made]:
        return [Made([9.0, 1 + add + k / 9], seed=k, optimizer=optimizer) for k in range(6)]

    trials = [*made("vanilla", 0), *made("adam", 1), *made("lion", 2)]
    rows = pair_rows(read_trials(write_run(tmp_path, trials)))
    assert [row["p"] for row in rows] == [0.03125] * 2
    assert [row["p_holm"] for row in rows] == [0.0625] * 2


def test_one_seed_has_no_quartiles(tmp_path: Path) -> None:
    run = read_trials(write_run(tmp_path, [Made([9.0, 1.0]), Made([9.0, 2.0], optimizer="adam")]))
    for row in seed_rows(Diagnoses(run, None)):
        assert (row["train_loss"], row["q1"], row["q3"]) == (row["train_loss"], None, None)
    diagnoses = Diagnoses(run, None)
    for row in best_rows(diagnoses, settings_of(run.trials)):
        assert (row["train_loss_q1"], row["train_loss_q3"]) == (None, None)
    (line, *_) = best_lines(diagnoses, settings_of(run.trials), ["a", "b"], 80)
    assert "quartiles" not in line.plain


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6, 7])
def test_the_least_p_is_what_the_note_says(count: int) -> None:
    p = signed_rank_p([1.0 + k for k in range(count)])
    assert p is not None
    assert p == pytest.approx(min(1.0, 2 / 2**count))
    assert (p < 0.05) == (count > 5)
    assert "5 seeds or fewer" in " ".join(PAIR_NOTES)


def test_a_run_that_diverged_everywhere_has_rows_without_figures(tmp_path: Path) -> None:
    run = read_trials(write_run(tmp_path, [Made([1.0, inf], status="diverged")]))
    (row,) = seed_rows(Diagnoses(run, None))
    assert {value for name, value in row.items() if name not in run.names} == {None}
    assert pair_rows(run) == []
