"""`--measure sharpness` in a run: its columns, and the same bytes whoever computes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pandas as pd

from gdcli.executors.execute import execute
from gdcli.runs.options import RunOptions, Silent
from tests.grids import experiment
from tests.runs.command import gdcli, tables

if TYPE_CHECKING:
    from pathlib import Path

SOFTMAX = (
    *("run", "softmax-regression", "--dataset", "iris", "--lr", "0.1,1e300", "--epochs", "4"),
    *("--optimizer", "vanilla,adam", "--measure", "sharpness", "--format", "csv"),
)


def test_curves_have_every_point_and_the_summary_both_ends(tmp_path: Path) -> None:
    options = {"dataset": "iris", "hidden": "5"}
    given = experiment("mlp", options, lr="0.1,1", steps="5", record="2", measure="sharpness")
    folder = execute(given, RunOptions(output=tmp_path), Silent()).folder
    curves, summary = (pd.read_csv(folder / name) for name in ("curves.csv", "summary.csv"))
    assert curves["step"].tolist() == [0, 2, 4, 5] * 2
    assert (curves["sharpness"] > 0).all()
    for _, ends in summary.iterrows():
        points = curves.loc[curves["trial"] == ends["trial"], "sharpness"].tolist()
        assert (points[0], points[-1]) == (ends["initial_sharpness"], ends["final_sharpness"])
    settings = json.loads((folder / "manifest.json").read_text())["experiment"]["settings"]
    assert settings["grid"]["measure"] == "sharpness"
    assert 'measure = "sharpness"' in (folder / "experiment.toml").read_text()


def test_workers_and_shards_write_the_same_bytes_and_verify_finds_them_again(
    tmp_path: Path,
) -> None:
    assert gdcli(tmp_path, *SOFTMAX, "--name", "one", "--workers", "1")[0] == 0
    assert gdcli(tmp_path, *SOFTMAX, "--name", "two", "--workers", "2")[0] == 0
    for part in ("1", "2"):
        shard = ("--shard", f"{part}/2", "-o", part, "--name", "part")
        assert gdcli(tmp_path, *SOFTMAX, *shard)[0] == 0
    assert gdcli(tmp_path, "merge", "1/part", "2/part", "-o", "merged")[0] == 0
    whole = tables(tmp_path / "results" / "one")
    assert b",nan" in whole[0]  # of those that diverged
    assert tables(tmp_path / "results" / "two") == tables(tmp_path / "merged") == whole
    assert gdcli(tmp_path, "verify", "results/one")[0] == 0
