"""Runs that are hard to export: numbers that are none, failed trials, labels with markup."""

from __future__ import annotations

from math import inf, nan
from typing import TYPE_CHECKING, Any

from gdcli.executors.execute import execute
from gdcli.runs import manifest
from gdcli.runs.folder import RunFolder
from gdcli.runs.options import RunOptions, Silent
from tests.grids import experiment
from tests.run_folders import Made, write_run

if TYPE_CHECKING:
    from pathlib import Path

LABEL = "=1+1,../../x\x1b[31m<b>é"
MESSAGE = 'ValueError: "odd", <b>\x1b[31m\nline'
TINY, HUGE = 1e-300, 1e300
TRIALS = [
    Made([9.0, 0.1, TINY], varied=[LABEL], identity="100000000000", test_losses=[9.5, 0.5, 0.25]),
    Made([9.0, HUGE, inf], lr=1.5, varied=["plain"], status="diverged", identity="1e5000000000"),
    Made([9.0, nan, -inf], seed=2**70, varied=["nan"], status="diverged", identity="00000000000c"),
    Made([], seed=3, varied=[7], status="failed", message=MESSAGE, identity="00000000000d"),
]
IDS = [trial.identity for trial in TRIALS]


def odd_run(folder: Path) -> RunFolder:
    """Write a finished run of such trials."""
    write_run(folder, TRIALS, varied=["data"])
    (folder / "experiment.toml").write_text("")
    settings: dict[str, Any] = {"problem": {}, "grid": {}, "vary": {}}
    about = {"problem": "odd", "hash": "0a", "settings": settings}
    manifest.write(
        folder,
        {
            "format": 3,
            "experiment": about,
            "fingerprint": {"device": "cpu"},
            "theory": [],
            "finished": "2026-01-02T03:04:05Z",
        },
        manifest.FILES,
    )
    return RunFolder(folder)


def partial_run(folder: Path) -> RunFolder:
    """Write half of a run: one batch of two, with a measure of its own."""
    axes: dict[str, Any] = {"optimizer": "vanilla,adam", "lr": "0.1,3", "seed": "0:1"}
    grid = experiment("quadratic", **axes, epochs="4", measure="sharpness")
    execute(grid, RunOptions(output=folder, name="half", shard="1/2"), Silent())
    return RunFolder(folder / "half")


def real_run(folder: Path) -> RunFolder:
    """Write a run of a network."""
    options = {"dataset": "iris", "hidden": [3]}
    grid = experiment("mlp", options, lr="0.1,0.2", epochs="3")
    execute(grid, RunOptions(output=folder, name="net"), Silent())
    return RunFolder(folder / "net")
