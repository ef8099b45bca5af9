"""Rows in every form, with nothing lost and nothing that a terminal would obey."""

from __future__ import annotations

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from gdcli.report.console import UNBROKEN
from gdcli.report.text_tables import print_json, print_listing

words = st.text(max_size=20)
ROWS = [{"name": "[bold]a[/bold]", "what": "x" * 300}, {"name": "\x1b[31mb", "what": "1|2\n3, 4"}]


def shown(
    rows: list[dict[str, str]], form: str, *, terminal: bool = False, columns: int = 40
) -> str:
    file = io.StringIO()
    width = columns if terminal else UNBROKEN
    console = Console(file=file, width=width, force_terminal=terminal, markup=False)
    print_listing(rows, form, console)
    return file.getvalue()


@pytest.mark.parametrize("form", ["table", "csv", "json", "md"])
@pytest.mark.parametrize("terminal", [True, False])
def test_nothing_is_lost_or_obeyed(form: str, *, terminal: bool) -> None:
    text = shown(ROWS, form, terminal=terminal)
    assert "[bold]a[/bold]" in text
    assert text.count("x") >= 300
    assert "\x1b[31m" not in text
    assert ("\\u001b[31mb" if form == "json" else "\\x1b[31mb") in text


def test_off_a_terminal_a_table_is_aligned_and_unbroken() -> None:
    assert shown(ROWS, "table").splitlines() == [
        "name            what",
        f"[bold]a[/bold]  {'x' * 300}",
        r"\x1b[31mb       1|2\n3, 4",
    ]


def test_what_fits_a_terminal_is_not_folded() -> None:
    rows = [{"name": "a", "what": "two words"}, {"name": "bcd", "what": "\x1b[31m"}]
    header, rule, *lines = shown(rows, "table", terminal=True, columns=15).splitlines()
    assert header == "\x1b[1mname  what     \x1b[0m".replace("     ", "")
    assert rule == "─" * 15
    assert lines == ["a     two words", r"bcd   \x1b[31m"]
    assert "fold" not in shown(rows, "table", terminal=True, columns=14)


def test_words_are_whole_while_texts_have_room() -> None:
    rows = [
        {"name": "q" * 30, "state": "complete", "why": "so", "finished": "2026-11-22T20:22:49Z"}
    ]
    table = shown(rows, "table", terminal=True, columns=60)
    assert "complete  so   2026-11-22T20:22:49Z" in table
    assert table.count("q") == 30
    narrow = shown(rows, "table", terminal=True, columns=40)
    assert "2026-11-22T20:22:49Z" not in narrow
    assert narrow.count("2") == rows[0]["finished"].count("2")


def test_wide_characters_are_aligned_by_their_width() -> None:
    rows = [{"a": "数据", "b": "1"}, {"a": "xy", "b": "2"}]
    assert shown(rows, "table").splitlines() == ["a     b", "数据  1", "xy    2"]


def test_markdown_keeps_its_columns() -> None:
    assert shown(ROWS, "md").splitlines()[3] == r"| \\x1b[31mb | 1\|2\\n3, 4 |"


@pytest.mark.parametrize("form", ["table", "csv", "json", "md"])
def test_no_rows_are_no_error(form: str) -> None:
    shown([], form)


@given(st.lists(st.fixed_dictionaries({"a": words, "b": words}), min_size=1))
def test_json_is_exact(rows: list[dict[str, str]]) -> None:
    assert json.loads(shown(rows, "json")) == rows


@given(st.lists(st.fixed_dictionaries({"a": words, "b": words}), min_size=1))
def test_every_row_is_one_line_of_csv_and_table(rows: list[dict[str, str]]) -> None:
    assert len(list(csv.DictReader(io.StringIO(shown(rows, "csv"))))) == len(rows)
    for form, header in (("csv", 1), ("table", 1), ("md", 2)):
        lines = shown(rows, form).split("\n")
        assert len(lines) == len(rows) + header + 1
        assert all(line.isprintable() for line in lines)


def test_what_json_has_not_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        print_json({"loss": float("nan")}, Console(file=io.StringIO()))
