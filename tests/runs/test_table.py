"""Every column is declared once, and what is said of it elsewhere follows from there."""

from __future__ import annotations

import ast
from itertools import groupby
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

import gdcli
from gdcli.catalog.catalog import MEASURES
from gdcli.errors import UserError
from gdcli.measure import LOSS_NAMES, LOSSES, MEASURED, PLACES, SETTINGS, Column
from gdcli.runs.table import (
    FACTS,
    MESSAGE,
    METRIC,
    STATUS,
    TARGET,
    _declared,
    curves_table,
    measure_column,
    parsed,
    summary_table,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

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


def test_the_page_of_results_has_a_row_for_each_column_of_a_measure() -> None:
    kinds = [MEASURES.find(name, "") for name in MEASURES.built_in()]
    columns = [column for kind in kinds for column in kind.columns]
    assert "".join(rows(columns)) in PAGE.read_text(encoding="utf-8")


def lists_in(file: Path) -> Iterator[set[str]]:
    """Yield the texts of each list, tuple and set of a file."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Tuple | ast.List | ast.Set):
            yield {str(e.value) for e in node.elts if isinstance(e, ast.Constant)}


def test_no_other_file_lists_the_columns() -> None:
    settings, places = ({column.name for column in part} for part in (SETTINGS, PLACES))
    ends = {end.name for end in (*STATUS, *FACTS)}
    most = ((settings, 4), (places, 2), (set(MEASURED), 2), (set(LOSS_NAMES), 1), (ends, 4))
    found = [
        f"{file}: {', '.join(sorted(texts & names))}"
        for file in sorted(Path(gdcli.__file__).parent.rglob("*.py"))
        for texts in lists_in(file)
        for names, allowed in most
        if len(texts & names) > allowed
    ]
    assert found == []


def test_a_column_that_a_plugin_declares_is_that_of_the_header(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def find(_self: object, name: str, where: str) -> object:
        if name == "broken":
            raise UserError(where, "it cannot be imported", "mend it")
        return SimpleNamespace(columns=(Column("hops", "whole", "hops so far", rtol=0.5),))

    monkeypatch.setattr("gdcli.runs.table.plugins", lambda _: {"broken": (), "hopping": ()})
    monkeypatch.setattr("gdcli.catalog.catalog.Catalogue.find", find)
    for cached in (_declared, curves_table, summary_table):
        cached.cache_clear()
    names = [*(c.name for c in (*SETTINGS, *PLACES, *LOSSES)), "hops", "other"]
    *_, hops, other = parsed("curves.csv", names).measures
    assert (hops.kind, hops.phrase, hops.rtol) == ("whole", "hops so far", 0.5)
    assert (other.kind, other.phrase) == ("number", METRIC)
    (end,) = [end for end in summary_table((), ("hops",), ()).measures if "hops" in end.name]
    assert (end.kind, end.phrase) == ("whole", "hops so far")
    for cached in (_declared, curves_table, summary_table):
        cached.cache_clear()


def test_no_plugin_is_looked_for_where_the_metric_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    def plugins(folder: str) -> None:
        raise AssertionError(folder)

    monkeypatch.setattr("gdcli.runs.table.plugins", plugins)
    for name in ("train_accuracy", "test_balanced_accuracy", "distance", "at_w", "sharpness"):
        assert measure_column(name).kind == "number"


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
