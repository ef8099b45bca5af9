"""Large files: what pandas reads is what the reader of text reads, or is left to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gdcli.datasets import matrices
from gdcli.datasets.delimited import read_table
from gdcli.datasets.matrices import (
    FileInParts,
    NotPlainError,
    PlainTable,
    plain_parts,
    read_text,
)
from gdcli.datasets.out_of_core import OnDisk
from gdcli.datasets.reading import Reading
from gdcli.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _all_files_are_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrices, "LARGE", -1)


QUIET = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
CELLS = st.one_of(
    st.integers(-(2**70), 2**70).map(str),
    st.floats().map(repr),
    st.floats(width=32).map(str),
    st.decimals(allow_nan=False, allow_infinity=False).map(str),
    st.text("0123456789+-.eE_dDxX% \t\"'\0\u0663;nainfyTrue", max_size=7),
    st.sampled_from(
        ["", "NA", "True", "1e", "1e+", "0x1p3", "1d5", "\u0661", "1,2", "  7 ", "#", "\r"]
    ),
)


def told(read: Any) -> Any:
    try:
        return read()
    except UserError as error:
        return str(error)


@QUIET
@given(
    rows=st.lists(st.lists(CELLS, min_size=1, max_size=3), min_size=1, max_size=6),
    text=st.sampled_from([None, "y"]),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
)
@example([["1", "2"], ["3"], ["5", "6"]], None, "\n")
@example([["1", "2", "9"], ["3", "4", "9"]], None, "\n")
@example([["1\0", "2"]], None, "\n")
def test_pandas_reads_the_same_or_nothing(
    tmp_path: Path, rows: list[list[str]], text: str | None, end: str
) -> None:
    file = tmp_path / "t.csv"
    file.write_bytes(end.join(["a,y", "0.5,1", *map(",".join, rows)]).encode())
    reading = Reading(separator=",", header=True)
    found = told(lambda: read_text(file, reading, text))
    expected = told(lambda: read_table(file, reading))
    if not isinstance(found, PlainTable):
        if isinstance(found, str):
            assert found == expected
        return
    numbers = [name for name in ("a", "y") if name != text]
    np.testing.assert_array_equal(found.numbers(numbers), expected.numbers(numbers))
    if text:
        assert found.labels(text) == expected.labels(text)


@pytest.mark.parametrize("cell", ["\r", "1\r"])
def test_a_carriage_return_without_a_line_feed_is_left_to_csv(tmp_path: Path, cell: str) -> None:
    file = tmp_path / "t.csv"
    file.write_bytes(f"a,y\n0.5,1\n{cell},0,0\n".encode())
    reading = Reading(separator=",", header=True)
    found = told(lambda: read_text(file, reading, None))
    assert not isinstance(found, PlainTable)
    assert found == told(lambda: read_table(file, reading))


@given(st.lists(st.floats(-1e15, 1e15), min_size=1))
@QUIET
def test_numbers_are_read_to_the_last_bit(tmp_path: Path, values: list[float]) -> None:
    file = tmp_path / "t.csv"
    file.write_text("a;y\n" + "".join(f"{v!r};007\n{v:.25g};7\n" for v in values))
    table = read_text(file, Reading(), "y")
    assert isinstance(table, PlainTable)
    np.testing.assert_array_equal(table.numbers(["a"])[:, 0], np.repeat(values, 2))
    assert table.labels("y") == ["007", "7"] * len(values)


def test_a_file_in_parts(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text("a,b,y\n" + "".join(f"{i},{i / 8},{i % 3}\n" for i in range(100)))
    parts = list(plain_parts(file, Reading(), None, 30))
    assert [len(part) for part in parts] == [10] * 10
    matrix, y = FileInParts(file, "y", Reading()).measured()
    assert isinstance(matrix, OnDisk)
    np.testing.assert_array_equal(matrix.read(np.arange(100))[:, 1], np.arange(100) / 8)
    np.testing.assert_array_equal(y, np.arange(100) % 3)
    assert FileInParts(file, "y", Reading()).classified()[1].places.tolist() == [
        i % 3 for i in range(100)
    ]
    with file.open("a") as stream:
        stream.write("1,2,x\n")  # in the last part
    with pytest.raises(NotPlainError):
        list(plain_parts(file, Reading(), None, 30))
    with pytest.raises(UserError, match=r"t\.csv:102: 'x' in column 'y' is not a number"):
        FileInParts(file, "y", Reading()).measured()
    classes = FileInParts(file, "y", Reading()).classified()[1]
    assert classes.names == ("0", "1", "2", "x")
    assert len(classes.places) == 101


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("a,y\n1,\n2,3\n", {}),
        ("a,y\n1,NA\n2,b\n", {}),
        (",a,y\n0,1,2\n1,3,4\n", {}),
        ("a;y\n1,5;2\n", {}),
        ("a  y\n1  2\n", {}),
        ("'a','y'\n1,2\n", {}),
        ("# made\na,y\n1,2\n", {}),
        ("a,y\n1,2\n", {"drop": "a"}),
        ("a,y\n1,2\n", {"missing": "drop"}),
        ("a,y\n1,2\n", {"categorical": "a"}),
        ("a,y\n1,2\n", {"comment": "#"}),
        ("a,y\n9007199254740993,2\n", {}),
        ("a,y\n", {}),
    ],
)
def test_what_is_not_plain_is_left_to_the_reader_of_text(
    tmp_path: Path, text: str, options: dict[str, Any]
) -> None:
    file = tmp_path / "t.csv"
    file.write_text(text)
    with pytest.raises(NotPlainError):
        list(plain_parts(file, Reading(**options), "y", 100))


def test_lines_before_the_names_are_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text('one "quote\nmore\n\n"a\nb",y\n1,2\n\n3,4\n')
    (table,) = plain_parts(file, Reading(skip_rows=2), None, 100)
    assert table.columns == ("a\nb", "y")
    assert table.numbers(["a\nb", "y"]).tolist() == [[1, 2], [3, 4]]
    (table,) = plain_parts(file, Reading(skip_rows=5, header=False), None, 100)
    assert table.numbers(["0", "1"]).tolist() == [[1, 2], [3, 4]]
