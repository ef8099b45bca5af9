"""The trials of a run and their curves are read as they were written; damage is named."""

from __future__ import annotations

from math import inf, isnan, nan
from typing import TYPE_CHECKING

import pytest

from gdcli import door
from gdcli.analysis.best import settings_of
from gdcli.analysis.quantiles import spread_curve
from gdcli.errors import UserError
from gdcli.runs.csv_read import value_of
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
    assert medians([trial], read(folder, {trial.id})) == [(0.0, 3.0), (1.0, 1.0)]


def test_any_measure_of_a_curve_can_be_read(tmp_path: Path) -> None:
    folder = write_run(tmp_path, [Made([2.0, 1.0], test_losses=[4.0, 3.0], identity="a")])
    assert read(folder, ["a"], "test_loss")["a"].values["test_loss"] == [4.0, 3.0]
    with pytest.raises(UserError, match=r"curves\.csv:1: there is no column accuracy;"):
        read(folder, ["a"], "accuracy")


def test_only_the_wanted_curves_are_read_and_nan_is_infinite(tmp_path: Path) -> None:
    first, second = Made([nan, 1.0]), Made([2.0])
    folder = write_run(tmp_path, [first, second])
    curves = read(folder, [first.identity, "unknown"])
    assert list(curves) == [first.identity]
    assert medians(read_trials(folder).trials, curves) == [(0, inf), (1, 1.0)]


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
    read(folder, {trial.id for trial in read_trials(folder).trials})


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
        ("summary.csv", "vanilla", '"vanilla', "summary.csv:3: it is not CSV: "),
        ("summary.csv", "vanilla", '"vanilla"x', "summary.csv:2: it is not CSV: "),
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
        read(tmp_path, [])


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


def test_curves_that_are_wanted_are_those_among_all_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "BLOCK", 1000)  # curves begin in one block and end in another
    folder = write_run(tmp_path, grid(seeds=2))
    whole = read(folder)
    for chosen in (list(whole)[::3], list(whole)[-1:], []):
        assert read(folder, chosen) == {trial: whole[trial] for trial in chosen}
    assert [len(curve.steps) for curve in whole.values()] == [
        int(trial.fact("steps") or 0) + 1 for trial in read_trials(folder).trials
    ]


def test_a_curve_whose_rows_stand_apart_is_refused(tmp_path: Path) -> None:
    folder = write_run(tmp_path, [Made([2.0, 1.0], seed=seed) for seed in (0, 1)])
    header, first, *rest = (folder / "curves.csv").read_text().splitlines()
    (folder / "curves.csv").write_text("\n".join([header, *rest, first, ""]))
    with pytest.raises(UserError, match=r"curves\.csv:5: the rows of its trial do not follow one"):
        read(folder)
