"""Every table, of every command, in every form."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.command_line import Shell

RUN = ("run", "linear-regression", "--epochs", "4", "--lr", "0.01,0.1", "--seed", "0:3")
TABLES = {
    "run": (*RUN, "--name", "a"),
    "run again": (*RUN, "--name", "c"),
    "dry run": (*RUN, "--dry-run"),
    "sweep": ("sweep", "bowl.toml"),
    "lr-range": ("lr-range", "quadratic", "--steps", "9"),
    "landscape": ("landscape", "rosenbrock", "--steps", "5", "--resolution", "5"),
    "runs": ("runs",),
    "show": ("show", "a"),
    "why": ("show", "a", "--view", "why"),
    "seeds": ("show", "a", "--view", "seeds"),
    "pairs": ("show", "b", "--view", "pairs"),
    "named pair": ("show", "b", "--view", "pairs", "--pair", "1,2"),
    "target": ("show", "a", "--view", "target", "--target-loss", "9000"),
    "plot": ("plot", "a"),
    "sensitivity": ("plot", "a", "--kind", "sensitivity"),
    "heatmap": ("plot", "a", "--kind", "heatmap"),
    "multiples": ("plot", "a", "--kind", "multiples"),
    "compare": ("compare", "a", "b"),
    "pair of runs": ("compare", "a", "b", "--pair", "a,b:2"),
    "profile": ("compare", "a", "b", "--profile"),
    "verify": ("verify", "a"),
    "merge": ("merge", "a", "-o", "merged"),
    "problems": ("problems",),
    "a problem": ("problems", "mlp"),
    "optimizers": ("optimizers",),
    "schedules": ("schedules",),
}
# What says something beside its table in md, such as what a constant prediction reaches.
TEXT = ("run", "run again", "show", "merge", "compare", "a problem", "optimizers")


@pytest.fixture
def runs(shell: Shell) -> Shell:
    assert shell(*RUN, "--name", "a", "--quiet") == 0
    assert shell(*RUN, "--optimizer", "vanilla,adam", "--name", "b", "--quiet") == 0
    shell.write("bowl.toml", '[problem]\nname = "quadratic"\n')
    return shell


@pytest.mark.parametrize("table", TABLES)
def test_the_form_is_the_one_asked_for(runs: Shell, table: str) -> None:
    command = *TABLES[table], "--quiet", "--format"
    assert runs(*command, "json") == 0
    assert json.loads(runs.out, parse_constant=pytest.fail)
    assert runs(*command, "csv") == 0
    header, *rows = csv.reader(runs.out.splitlines(), strict=True)
    assert rows
    assert {len(row) for row in rows} == {len(header)}
    assert runs(*command, "md") == 0
    lines = [line for line in runs.out.splitlines() if line]
    assert any(line.startswith("| ---") for line in lines)
    assert table in TEXT or all(line.startswith("| ") for line in lines)


def test_what_prints_no_table_takes_no_form(runs: Shell) -> None:
    (error,) = runs.refuses("report", "a", "--format", "json")
    assert error.startswith("--format: there is no such option; ")
    (error,) = runs.refuses("plot", "a", "-o", "a.png", "--format", "csv")
    assert error.startswith(
        "--format: it says how results are printed, and --output prints nothing; "
    )
