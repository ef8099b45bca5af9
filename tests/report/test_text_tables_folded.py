"""Tables that fit a terminal: nothing is lost, and no line is wider than it where that can be."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from gdcli.report.text_tables import folded

cells = st.text(st.characters(categories=["L", "N", "P", "Zs"]), max_size=40)
tables = st.integers(1, 5).flatmap(
    lambda columns: st.lists(
        st.lists(cells, min_size=columns, max_size=columns), min_size=1, max_size=6
    )
)


@given(tables, st.integers(20, 80))
def test_no_line_is_wider_than_the_terminal(rows: list[list[str]], width: int) -> None:
    assert all(cell_len(line) <= width for lines in folded(rows, width) for line in lines)


@given(tables, st.integers(20, 80))
def test_nothing_is_lost(rows: list[list[str]], width: int) -> None:
    for row, lines in zip(rows, folded(rows, width), strict=True):
        held, shown = ("".join(part).split() for part in (row, lines))
        assert sorted("".join(held)) == sorted("".join(shown))


def test_words_go_below_each_other() -> None:
    rows = [["name", "what"], ["a", "one two three four"]]
    assert list(folded(rows, 16)) == [["name  what"], ["a     one two", "      three four"]]


def test_a_terminal_that_is_too_narrow_for_the_columns_still_has_them_all() -> None:
    ((line, *rest),) = folded([["ab", "cd", "ef"]], 3)
    assert (line, rest) == ("a  c  e", ["b  d  f"])
