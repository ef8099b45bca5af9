"""The tables of a run as DataFrames: every value of the CSV files, none of another type."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from gdcli import Run, UserError, load
from gdcli.executors.execute import execute
from gdcli.runs.options import RunOptions, Silent
from tests.exports.odd_runs import HUGE, IDS, LABEL, MESSAGE, TINY, odd_run
from tests.grids import experiment

if TYPE_CHECKING:
    from tests.cli.command_line import Shell

INF, NAN = float("inf"), float("nan")


@pytest.fixture(scope="module")
def bowls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run of which some trials diverge."""
    folder = tmp_path_factory.mktemp("bowls")
    vary = {"momentum.beta": "0.5,0.9"}
    grid = experiment("quadratic", optimizer="vanilla,momentum", lr="0.1,3", vary=vary, epochs="9")
    execute(grid, RunOptions(output=folder, name="bowls"), Silent())
    return folder / "bowls"


@pytest.mark.parametrize("table", ["curves", "summary"])
def test_a_frame_is_what_pandas_reads_of_the_csv(bowls: Path, table: str) -> None:
    frame = getattr(load(bowls), table)
    read = pd.read_csv(bowls / f"{table}.csv", dtype={"trial": "str"})
    assert list(frame.columns) == list(read.columns)
    found, wanted = (held.astype(object).where(held.notna(), None) for held in (frame, read))
    assert_frame_equal(found, wanted, check_exact=True)


def test_columns_have_one_type_whatever_is_in_them(bowls: Path) -> None:
    summary, curves = load(bowls).summary.dtypes, load(bowls).curves.dtypes
    assert {str(curves[name]) for name in ("trial", "method", "optimizer", "schedule")} == {"str"}
    assert {str(curves[n]) for n in ("seed", "batch_size", "step", "examples")} == {"int64"}
    assert {str(curves[n]) for n in ("lr", "epoch", "test_loss", "momentum.beta")} == {"float64"}
    assert {str(summary[n]) for n in ("steps", "diverged_at", "steps_to_target")} == {"Int64"}
    assert {str(summary[n]) for n in ("message", "stopped_by", "diverged_by")} == {"str"}


def test_odd_numbers_and_labels_are_kept(tmp_path: Path) -> None:
    odd_run(tmp_path / "odd")
    run = load(tmp_path / "odd")
    losses = run.curves["train_loss"]
    wanted = pd.Series([9.0, 0.1, TINY, 9.0, HUGE, INF, 9.0, NAN, -INF], name="train_loss")
    pd.testing.assert_series_equal(losses, wanted, check_exact=True)
    assert run.summary["trial"].tolist() == IDS
    assert run.summary["data"].tolist() == [LABEL, "plain", "nan", "7"]
    assert run.summary["message"].tolist()[3] == MESSAGE
    assert run.summary["seed"].tolist() == ["0", "0", str(2**70), "3"]  # 64 bits do not hold it
    said = run.diagnoses.loc[IDS[3]].to_dict()
    assert pd.isna(said.pop("quality"))
    assert said == {"state": "failed", "qualities": (), "explanation": "", "advice": ""}


def test_diagnoses_and_manifest_are_those_of_the_files(bowls: Path) -> None:
    run = load(str(bowls))
    assert run.diagnoses.index.tolist() == run.summary["trial"].tolist()
    lost = run.summary["status"] == "diverged"
    assert ((run.diagnoses["state"] == "blew up").to_numpy() == lost.to_numpy()).all()
    texts = ("state", "quality", "explanation", "advice")
    assert {str(run.diagnoses.dtypes[name]) for name in texts} == {"str"}
    first = run.diagnoses.iloc[lost.argmax()]
    assert first["explanation"].startswith("blew up at step ")
    assert first["advice"].startswith("Use a ")
    assert run.manifest["trials"] == {"all": 6, "failed": 0, "diverged": 3}
    assert (run.path, run.name) == (bowls, "bowls")
    assert repr(run) == f"<Run {str(bowls)!r}: 6 trials, 3 diverged>"


def test_many_rows_are_read_in_blocks(bowls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = load(bowls).curves
    monkeypatch.setattr("gdcli.api.frames.ROWS", 7)
    assert_frame_equal(load(bowls).curves, whole, check_exact=True)


def test_a_name_in_results_is_found(bowls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(bowls.parent, bowls.parent.parent / "there/results", dirs_exist_ok=True)
    monkeypatch.chdir(bowls.parent.parent / "there")
    assert load("bowls").path == Path("results/bowls")


def test_what_is_no_finished_run_is_refused(bowls: Path, tmp_path: Path) -> None:
    shutil.copytree(bowls, tmp_path / "copy")
    with pytest.raises(UserError, match="there is no such run"):
        load(tmp_path / "nothing")
    (tmp_path / "copy/manifest.json").rename(tmp_path / "manifest.json")
    with pytest.raises(UserError, match="the run is not finished: 2 of 2 batches are there; give"):
        load(tmp_path / "copy")
    (tmp_path / "manifest.json").rename(tmp_path / "copy/manifest.json")
    with (tmp_path / "copy/summary.csv").open("a") as file:
        file.write("more")
    with pytest.raises(UserError, match="it is not what the run wrote"):
        load(tmp_path / "copy")
    assert Run(bowls).summary is not None


def test_of_a_run_that_is_not_finished_the_trials_that_are_there_are_loaded(
    tmp_path: Path,
) -> None:
    grid = experiment("quadratic", optimizer="vanilla,adam", lr="0.1,0.2", epochs="9")
    execute(grid, RunOptions(output=tmp_path, name="whole"), Silent())
    execute(grid, RunOptions(output=tmp_path, name="half", shard="2/2"), Silent())
    whole = load(tmp_path / "whole")
    assert whole.finished
    with pytest.raises(UserError, match=r"not finished: 1 of 2 batches are there; .* partial=True"):
        load(tmp_path / "half")
    run = load(tmp_path / "half", partial=True)
    for table in ("curves", "summary"):
        frame = getattr(whole, table)
        there = frame[frame["optimizer"] == "adam"].reset_index(drop=True)
        assert_frame_equal(getattr(run, table), there, check_exact=True)
    assert not run.finished
    assert repr(run).endswith("half': the run is not finished: 1 of 2 batches are there>")
    for name in ("manifest", "diagnoses"):
        with pytest.raises(UserError, match="the run is not finished"):
            getattr(run, name)


def test_a_run_that_has_not_begun_holds_nothing_to_load(tmp_path: Path) -> None:
    (tmp_path / ".gdcli").mkdir()
    with pytest.raises(UserError, match="has not begun"):
        load(tmp_path, partial=True)


def test_weights_are_those_that_the_command_line_exports(shell: Shell) -> None:
    arguments = ("--epochs", "2", "--method", "minibatch", "--name", "net", "--quiet")
    assert shell("run", "mlp", "--dataset", "iris", "--lr", "0.1,0.2", *arguments) == 0
    run = load("net")
    trial = run.summary["trial"].tolist()[1]
    assert shell("export", "net", "--to", "npz", "--trial", trial, "-o", "w.npz") == 0
    found = run.weights(trial)
    with np.load("w.npz") as arrays:
        assert {*arrays.files} == {*found}
        for name, array in found.items():
            np.testing.assert_array_equal(arrays[name], array)
    with pytest.raises(UserError, match="the run has 2 trials"):
        run.weights()
    with pytest.raises(UserError, match="the run holds no trial 'x'"):
        run.weights("x")


def test_the_weights_of_the_only_trial_need_no_id(shell: Shell) -> None:
    assert shell("run", "quadratic", "--lr", "0.1", "--name", "one", "--quiet") == 0
    (name,) = load("one").weights()
    assert name == "point"
