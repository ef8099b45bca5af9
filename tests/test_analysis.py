from collections.abc import Iterable
from math import inf, isnan, nan
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdcli.analysis.best import Setting, settings_of
from gdcli.analysis.quantiles import Recorded, median, quantile, read_curves, spread, spread_curve
from gdcli.errors import UserError
from gdcli.runs.csv_read import value_of
from gdcli.runs.trials import TrialResult, read_trials
from tests.run_folders import Made, grid, write_run


def settings(folder: Path, trials: list[Made], *varied: str) -> tuple[Setting, ...]:
    return settings_of(read_trials(write_run(folder, trials, varied)).trials)


def medians(
    trials: Iterable[TrialResult], curves: dict[str, Recorded]
) -> list[tuple[float, float]]:
    return [(epoch, losses.median) for epoch, losses in spread_curve(trials, curves)]


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


def test_the_best_learning_rate_has_the_lowest_median_loss(tmp_path: Path) -> None:
    vanilla, momentum = settings(tmp_path, grid())
    assert vanilla.values == ("gd", 100, "vanilla", "constant")
    assert [cell.lr for cell in vanilla.cells] == [0.01, 0.1, 1.0]
    assert vanilla.best is vanilla.cells[1]
    assert vanilla.cells[2].median == inf
    assert momentum.best is momentum.cells[1]


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


def test_what_varies_makes_settings_in_the_order_of_the_file(tmp_path: Path) -> None:
    trials = [Made([1.0], varied=[condition, ""]) for condition in (100, 10)]
    run = read_trials(write_run(tmp_path, trials, ["condition", "momentum.beta"]))
    assert run.names[4:] == ("condition", "momentum.beta")
    assert [s.values[4:] for s in settings_of(run.trials)] == [(100, None), (10, None)]


def test_a_varied_setting_may_be_named_like_a_column_of_the_results(tmp_path: Path) -> None:
    trials = [Made([3.0, 1.0], varied=["finished", 7])]
    folder = write_run(tmp_path, trials, ["status", "epoch"])
    (trial,) = read_trials(folder).trials
    assert (trial.setting[4:], trial.status, trial.loss) == (("finished", 7), "finished", 1.0)
    assert medians([trial], read_curves(folder, {trial.id})) == [(0.0, 3.0), (1.0, 1.0)]


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
    curves = read_curves(folder, {trial.id for trial in run.trials})
    assert medians(run.trials, curves) == [(0, 8.0), (1, 4.0), (2, 3.0), (3, 3.0)]
    assert medians(run.trials[2:], curves) == [(0, 8.0), (1, 9.0), (2, 1e12)]
    assert medians(run.trials[::2], curves)[3] == (3, inf)


def test_the_median_curve_is_the_median_where_all_trials_recorded(tmp_path: Path) -> None:
    folder = write_run(tmp_path, grid(lrs=[0.1], seeds=5)[:5])
    run = read_trials(folder)
    curves = read_curves(folder, {trial.id for trial in run.trials})
    losses = np.median([curves[trial.id].losses for trial in run.trials], axis=0)
    assert [loss for _, loss in medians(run.trials, curves)] == pytest.approx(losses)


def test_the_quartiles_of_a_curve_are_those_of_its_seeds(tmp_path: Path) -> None:
    folder = write_run(tmp_path, [Made([float(k), inf], seed=k) for k in range(5)])
    run = read_trials(folder)
    first, last = spread_curve(run.trials, read_curves(folder, {t.id for t in run.trials}))
    assert first[1] == spread([0, 1, 2, 3, 4])
    assert (last[1].low, last[1].high, last[1].count) == (inf, inf, 5)


def test_any_measure_of_a_curve_can_be_read(tmp_path: Path) -> None:
    folder = write_run(tmp_path, [Made([2.0, 1.0], test_losses=[4.0, 3.0], identity="a")])
    assert read_curves(folder, {"a"}, "test_loss")["a"].losses == [4.0, 3.0]
    with pytest.raises(UserError, match=r"curves\.csv:1: there is no column accuracy;"):
        read_curves(folder, {"a"}, "accuracy")


def test_only_the_wanted_curves_are_read_and_nan_is_infinite(tmp_path: Path) -> None:
    first, second = Made([nan, 1.0]), Made([2.0])
    curves = read_curves(write_run(tmp_path, [first, second]), {first.identity, "unknown"})
    assert list(curves) == [first.identity]
    assert curves[first.identity].losses == [inf, 1.0]


def test_no_trial_with_a_curve_has_no_points(tmp_path: Path) -> None:
    run = read_trials(write_run(tmp_path, [Made([], status="failed")]))
    assert medians(run.trials, {}) == []


@pytest.mark.parametrize(
    ("text", "value"),
    [("", None), ("7", 7), ("-7", -7), ("0.5", 0.5), ("1e-3", 1e-3), ("relu", "relu")],
)
def test_settings_are_read_as_what_they_were(text: str, value: object) -> None:
    assert value_of(text) == value
    assert type(value_of(text)) is type(value)


def test_text_that_python_alone_takes_for_a_number_stays_text() -> None:
    digits = "9" * 5000  # more than int() reads
    assert value_of("1_000") == "1_000"
    assert value_of("inf") == "inf"
    assert value_of(digits) == inf


def read_all(folder: Path) -> None:
    read_curves(folder, {trial.id for trial in read_trials(folder).trials})


def damaged(folder: Path, name: str, old: str, new: str) -> str:
    """Replace text in a file of a run with two trials; return what the error says."""
    write_run(folder, [Made([2.0, 1.0], seed=seed, identity=f"trial{seed}") for seed in (0, 1)])
    path = folder / name
    content = path.read_text()
    assert old in content
    path.write_text(content.replace(old, new, 1))
    with pytest.raises(UserError) as caught:
        read_all(folder)
    return str(caught.value).removeprefix(f"{folder}/")


@pytest.mark.parametrize(
    ("name", "old", "new", "error"),
    [
        ("summary.csv", "lr,", "rate,", "summary.csv:1: there is no column lr;"),
        ("summary.csv", "seed,", "seed,seed,", "summary.csv:2: it has 55 cells, the header 56;"),
        ("summary.csv", "trial,method", "method,trial", "summary.csv:1: the columns do not begin"),
        ("summary.csv", "trial1,", "", "summary.csv:3: it has 54 cells, the header 55;"),
        ("summary.csv", "\ntrial1", "\n\ntrial1", "summary.csv:3: the line is empty;"),
        ("summary.csv", "0,finished", "0,done", "summary.csv:2: status is 'done', not one of"),
        ("summary.csv", ",0.1,", ",fast,", "summary.csv:2: lr is 'fast', not a number;"),
        ("summary.csv", ",0.1,", ",nan,", "summary.csv:2: lr is nan, not a finite number;"),
        ("summary.csv", ",2.0,1.0,", ",2.0,1.0.0,", "summary.csv:2: final_train_loss is '1.0.0'"),
        ("summary.csv", "vanilla", '"vanilla', "summary.csv:3: it is no CSV: "),
        ("summary.csv", "vanilla", '"vanilla"x', "summary.csv:2: it is no CSV: "),
        ("curves.csv", "train_loss", "loss", "curves.csv:1: there is no column train_loss;"),
        ("curves.csv", ",2.0,", ",two,", "curves.csv:2: train_loss is 'two', not a number;"),
        ("curves.csv", ",0,0,0,2.0", ",,0,0,2.0", "curves.csv:2: it has no epoch;"),
        ("curves.csv", ",1,100,1.0", "", "curves.csv:3: it has 10 cells, the header 13;"),
    ],
)
def test_damage_is_named_by_file_and_line(
    tmp_path: Path, name: str, old: str, new: str, error: str
) -> None:
    assert damaged(tmp_path, name, old, new).startswith(error)


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", ":1: it is empty;"),
        (b"trial,\xff", ": byte 6 is not UTF-8;"),
        (b"\n", ":1: the line is empty;"),
    ],
)
def test_a_file_that_is_no_table_is_named(tmp_path: Path, content: bytes, error: str) -> None:
    path = tmp_path / "summary.csv"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_trials(tmp_path)
    assert str(caught.value).startswith(f"{path}{error}")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"summary\.csv: there is no such file; "):
        read_trials(tmp_path)
    (tmp_path / "curves.csv").mkdir()
    with pytest.raises(UserError, match=r"curves\.csv: it is a folder; "):
        read_curves(tmp_path, set())


def test_the_numbers_of_a_trial_are_those_of_the_file(tmp_path: Path) -> None:
    folder = write_run(tmp_path, [Made([1.0, 0.1 + 0.2]), Made([1.0, nan], optimizer="adam")])
    first, second = read_trials(folder).trials
    assert first.final == {"train_loss": 0.1 + 0.2, "test_loss": None}
    loss = second.final["train_loss"]
    assert loss is not None
    assert isnan(loss)
    assert second.loss == inf


def test_the_facts_of_a_trial_are_those_of_the_file(tmp_path: Path) -> None:
    trials = [Made([1.0, 0.0, 0.5, *[0.0] * 9], seed=7), Made([1.0, nan], status="diverged")]
    first, second = read_trials(write_run(tmp_path, trials)).trials
    assert (first.seed, first.facts["diverged_by"], first.facts["stopped_by"]) == (7, "", "")
    facts = {"initial_train_loss": 1.0, "lowest_train_step": 1, "late_rises": 0, "watched": 12}
    assert {name: first.fact(name) for name in facts} == facts
    assert (second.facts["diverged_by"], second.fact("diverged_at")) == ("nan", 1)
    assert second.fact("diverged_by") is None  # it is no number
    assert first.fact("lowest_curvature") is None  # it is not known
    assert first.fact("no_such_column") is None


@pytest.mark.parametrize("cell", ["inf", "nan", "0.5", "1e400"])
@pytest.mark.parametrize("fact", ["lowest_test_step", "late_rises", "watched", "steps"])
def test_a_count_is_a_whole_number(tmp_path: Path, fact: str, cell: str) -> None:
    folder = write_run(tmp_path, [Made([1.0, 0.5])])
    names, row = (line.split(",") for line in (folder / "summary.csv").read_text().splitlines())
    row[names.index(fact)] = cell
    (folder / "summary.csv").write_text(f"{','.join(names)}\n{','.join(row)}\n")
    with pytest.raises(UserError, match=f"summary.csv:2: {fact} is '{cell}', not a whole number"):
        read_trials(folder)


def test_rates_that_end_as_low_are_tied_and_the_soonest_is_best(tmp_path: Path) -> None:
    slow = [1.0 if k < 20 else 0.0 for k in range(33)]
    rates = {0.1: slow, 0.2: [1.0, *[1e-5] * 32], 0.3: [1.0, *[1e-3] * 32]}
    (setting,) = settings(tmp_path, [Made(losses, lr=lr) for lr, losses in rates.items()])
    assert [cell.lr for cell in setting.tied] == [0.1, 0.2]
    assert setting.best is setting.cells[1]
    assert setting.median == 1e-5
    assert (setting.cells[0].fallen, setting.cells[1].fallen) == (20, 1)


def test_a_cell_that_never_falls_takes_for_ever(tmp_path: Path) -> None:
    (setting,) = settings(tmp_path, [Made([1.0, 1.5]), Made([], lr=1, status="failed")])
    assert [cell.fallen for cell in setting.cells] == [inf, inf]
