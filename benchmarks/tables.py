"""Writing the tables: a row of curves.csv, with its share of the trial's facts and summary."""

from __future__ import annotations

import time

from benchmarks.result import Result, spread
from gdcli.engine.batch import batches_of, train_batch
from gdcli.engine.examples import examples_of
from gdcli.experiment.experiment import Given, read
from gdcli.runs.csv_write import Rows

GRID = {"lr": "log:1e-4:1e-1:256", "steps": "199", "optimizer": "adam"}
MOST = 1.0  # microseconds a row


def measure(dtype: str, repeats: int) -> list[Result]:
    """Return the CPU time of a row in a precision; training is no part of it."""
    grid = {**GRID, "dtype": dtype}
    experiment = read(Given("quadratic", {}, grid, {}, (), lambda name: f"--{name}"))
    (batch,) = batches_of(experiment.grid.cohorts)
    first = batch.trials[0]
    plan, curves = train_batch(batch, examples_of(first), "cpu", lambda _: None)
    rows = Rows((), first.curve_columns, plan)

    def once() -> float:
        began = time.process_time()
        for i, trial in enumerate(batch.trials):
            rows.curve(trial, curves, i)
        rows.summaries(batch.trials, curves)
        return 1e6 * (time.process_time() - began) / int(curves.length.sum())

    once()
    return [
        Result(
            section="tables",
            workload=f"200 recorded points, {dtype}",
            contestant="gdcli",
            unit="us a row",
            value=spread([once() for _ in range(repeats)]),
            dtype=dtype,
            trials=len(batch.trials),
            limit=MOST,
        )
    ]
