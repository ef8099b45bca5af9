"""The lines of tables, as strangers may send them."""

from __future__ import annotations

from pathlib import Path

import pytest

from gdcli.errors import UserError
from gdcli.runs.csv_read import cells, lines_of, read_table

HEADER = "trial,status,steps\n"


def test_a_table_of_many_short_lines_is_given_up_at_the_first(tmp_path: Path) -> None:
    file = tmp_path / "summary.csv"
    file.write_text(HEADER + "a,finished,3\n" + "b\n" * 3 + "c,finished,3\n")
    with pytest.raises(UserError, match="a line has fewer cells than the header"):
        read_table(file)


def test_only_a_newline_ends_a_line() -> None:
    part = b'a,1\x0b2\na,"x\ny"\r\nb,\xc2\x85\xe2\x80\xa8\nc,end'
    assert lines_of(part) == {
        "a": b'a,1\x0b2\na,"x\ny"\r\n',
        "b": b"b,\xc2\x85\xe2\x80\xa8\n",
        "c": b"c,end",
    }
    assert cells(b"b,\xc2\x85\xe2\x80\xa8\nc,end") == [["b", "\x85\u2028"], ["c", "end"]]
