"""Every column is declared once, and what is said of it elsewhere follows from there."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

import pytest

from gdcli.column import LOSSES, PLACES, SETTINGS, Column
from gdcli.runs.table import (
    FACTS,
    MESSAGE,
    STATUS,
    TARGET,
    curves_table,
    parsed,
    summary_table,
)

PAGE = Path(__file__).parents[2] / "docs" / "results.md"


def rows(columns: Iterable[Column]) -> list[str]:
    """Return the rows of docs/results.md, one for neighbours that hold the same."""
    found = []
    for phrase, group in groupby(columns, key=lambda column: column.phrase):
        names = [f"`{column.name}`" for column in group]
        names = [names[0], "...", names[-1]] if len(names) > 2 else names
        found.append(f"| {' '.join(names)} | {phrase} |\n")
    return found


@pytest.mark.parametrize(
    "columns",
    [(*SETTINGS,), (*PLACES, *LOSSES), STATUS, (TARGET,), FACTS, (MESSAGE,)],
    ids=["settings", "points", "status", "target", "facts", "message"],
)
def test_the_page_of_results_has_a_row_for_each_column(columns: tuple[Column, ...]) -> None:
    assert "".join(rows(columns)) in PAGE.read_text(encoding="utf-8")


def test_a_header_is_read_as_the_columns_that_wrote_it() -> None:
    names = ("weight-decay", "momentum.beta"), ("train_accuracy",)
    for table in (curves_table(*names), summary_table(*names, ("sharpness",))):
        found = parsed(table.file, table.names)
        assert [c.name for c in found.settings] == [c.name for c in table.settings]
        kinds = [(c.name, c.kind, c.elsewhere) for c in table.measures]
        assert [(c.name, c.kind, c.elsewhere) for c in found.measures] == kinds
        assert found.names[7:9] == ("weight_decay", "momentum.beta")


def test_a_varied_setting_named_as_a_column_is_told_apart() -> None:
    table = summary_table(("steps", "lr"), (), ())
    assert list(table.columns)[7:10] == ["steps (varied)", "lr (varied)", "status"]
    assert table.names[table.place("steps")] == "steps"
    assert table.place("steps") > table.place("status")


@pytest.mark.parametrize(
    ("names", "what"),
    [
        (["trial"], "there is no column method"),
        ([c.name for c in SETTINGS], "there is no column epoch"),
        ([*(c.name for c in reversed(SETTINGS)), "epoch"], "the columns do not begin with trial,"),
        ([*(c.name for c in SETTINGS), "epoch", "loss", "loss"], "two columns have one name"),
    ],
)
def test_columns_that_no_run_writes_are_refused(names: list[str], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        parsed("curves.csv", names)
