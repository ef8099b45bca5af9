"""A thousand trials of 200 recorded points: `store`, as gdcli runs them, or `plain` files."""

from __future__ import annotations

import sys
from pathlib import Path

from gdcli.cli.failure import prepare_process

prepare_process()

from gdcli.executors.execute import execute  # noqa: E402
from gdcli.experiment.experiment import Experiment, Given, read  # noqa: E402 -- after the environment
from gdcli.runs.options import RunOptions, Silent  # noqa: E402
from gdcli.runs.run import Run  # noqa: E402
from gdcli.runs.table import header, tables_of  # noqa: E402

GRID = {"lr": "log:1e-4:1e-1:1000", "steps": "199", "optimizer": "adam"}


def main() -> None:
    """Run the experiment in the folder that is named first, in the way that is named next."""
    folder, way = Path(sys.argv[1]), sys.argv[2]
    experiment = read(Given("quadratic", {}, GRID, {}, (), lambda name: f"--{name}"))
    options = RunOptions(output=folder, name="grid", workers=1)
    if way == "store":
        execute(experiment, options, Silent())
    else:
        plain(experiment, options)


def plain(experiment: Experiment, options: RunOptions) -> None:
    """Train every batch and append its lines to the two tables."""
    run = Run(experiment, options)
    run.folder.mkdir(parents=True)
    curves, summary = run.folder / "curves.csv", run.folder / "summary.csv"
    with curves.open("wb") as points, summary.open("wb") as trials:
        for file, table in zip((points, trials), tables_of(experiment), strict=True):
            file.write(header(table.names).encode())
        for batch in run.batches:
            shard = run.runner.shard(batch, lambda _: None)
            points.write(shard.curves)
            trials.write(shard.summary)


if __name__ == "__main__":
    main()
