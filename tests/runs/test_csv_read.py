"""Rows in blocks are those that are read one by one, and so are mistakes; lines of trials."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gdcli import door
from gdcli.errors import UserError
from gdcli.runs.csv_read import CsvFile, cells, find_lines, lines_of, read_rows

if TYPE_CHECKING:
    from pathlib import Path

LONG = "a,b\n" + "".join(f"t{k},{k}\n" for k in range(3000))
FILES = {
    "plain": LONG,
    "no last end": LONG[:-1],
    "header alone": "a,b\n",
    "quoted": 'a,b\n1,"2,3"\n4,5\n',
    "quoted late": LONG + '1,"2\n3"\n4,5\n',
    "carriage returns": "a,b\r\n1,2\r\n",
    "not ASCII": "a,b\né,2\n",
    "empty": "",
    "one column": "a\n1\n\n2\n",
    "short row": LONG + "1\n2,3,4\n",
    "empty line": LONG + "\n1,2\n",
    "open quote": LONG + '1,"2\n',
}


def rows(path: Path, *, blocks: bool) -> object:
    """Return the lines and cells of a file, or what is said of it."""
    try:
        if not blocks:
            return [(row.line, row.cells) for row in read_rows(path)]
        held = [(block, at) for block in CsvFile(path).blocks() for at in range(len(block.lines))]
        return [(block.row(at).line, block.row(at).cells) for block, at in held]
    except UserError as error:
        return str(error)


@pytest.mark.parametrize("text", FILES.values(), ids=FILES)
def test_blocks_hold_the_rows_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr(door, "BLOCK", 1000)
    path = tmp_path / "a.csv"
    path.write_text(text, encoding="utf-8", newline="")
    assert rows(path, blocks=True) == rows(path, blocks=False)


def test_what_is_not_utf8_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"a,b\n1,\xff\n")
    assert "is not UTF-8" in str(rows(path, blocks=True))
    assert "no such file" in str(rows(tmp_path / "b.csv", blocks=True))


HEADER = "trial,status,steps\n"


def test_a_table_of_many_short_lines_is_given_up_at_the_first(tmp_path: Path) -> None:
    file = tmp_path / "summary.csv"
    file.write_text(HEADER + "a,finished,3\n" + "b\n" * 3 + "c,finished,3\n")
    with pytest.raises(UserError, match="a line has fewer cells than the header"):
        find_lines(file)


def test_only_a_newline_ends_a_line() -> None:
    part = b'a,1\x0b2\na,"x\ny"\r\nb,\xc2\x85\xe2\x80\xa8\nc,end'
    assert lines_of(part) == {
        "a": b'a,1\x0b2\na,"x\ny"\r\n',
        "b": b"b,\xc2\x85\xe2\x80\xa8\n",
        "c": b"c,end",
    }
    assert cells(b"b,\xc2\x85\xe2\x80\xa8\nc,end") == [["b", "\x85\u2028"], ["c", "end"]]
