"""Runs of methods: the same bytes in every way of computing them, and from a checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.runs.command import gdcli, tables
from tests.runs.test_store_checkpoint import KILLED, TOLD

if TYPE_CHECKING:
    from pathlib import Path

NET = ("run", "mlp", "--dataset", "wine", "--hidden", "5", "--epochs", "5", "--format", "csv")
STACKED = ("--optimizer", "adamw+ema,lbfgs,muon+adamw,momentum+sam", "--lr", "0.01,0.1,1e30")
FOUR = (*NET, *STACKED, "--method", "minibatch", "--batch-size", "50", "--seed", "0:1")


def test_workers_shards_and_verify_give_the_same_bytes(tmp_path: Path) -> None:
    assert gdcli(tmp_path, *FOUR, "--name", "whole")[0] == 0
    results = tmp_path / "results"
    whole = tables(results / "whole")
    assert b"raw_train_loss" in whole[0]
    assert gdcli(tmp_path, *FOUR, "--name", "many", "--workers", "2")[0] == 0
    assert tables(results / "many") == whole
    for part in "12":
        assert gdcli(tmp_path, *FOUR, "--name", f"part-{part}", "--shard", f"{part}/2")[0] == 0
    assert gdcli(tmp_path, "merge", "results/part-1", "results/part-2", "-o", "merged")[0] == 0
    assert tables(tmp_path / "merged") == whole
    assert gdcli(tmp_path, "verify", "results/many", "-q")[0] == 0


def test_a_killed_run_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    wrapped = ("--optimizer", "muon+adamw+cautious+ema", "--lr", "0.01,1e30", "--name", "run")
    one = (*NET, *wrapped, "--method", "minibatch", "--batch-size", "8")
    assert gdcli(tmp_path, *one, sabotage=KILLED)[0] == -9
    assert gdcli(tmp_path, *one, sabotage=TOLD)[0] == 0
    assert int((tmp_path / "resumed").read_text()) > 0
    (tmp_path / "alone").mkdir()
    assert gdcli(tmp_path / "alone", *one)[0] == 0
    assert tables(tmp_path / "results/run") == tables(tmp_path / "alone/results/run")
