"""Tables as programs and people write them, read whole and in parts: what is found, and said."""

from __future__ import annotations

import decimal
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from gdcli.datasets.cells import collected
from gdcli.datasets.reading import Reading, read_file
from gdcli.datasets.tabular import Source
from gdcli.errors import UserError
from gdcli.problems.linear_regression import LinearRegression
from gdcli.problems.logistic_regression import LogisticRegression

ROWS = "1.5,2,0.5\n3,4.25,1.5\n-5,6,2.5\n"
TABLE = [[1.5, 2.0], [3.0, 4.25], [-5.0, 6.0]], [0.5, 1.5, 2.5]
SO = "FILE is read as follows: "


def write(folder: Path, content: str | bytes, name: str = "t.csv") -> Path:
    file = folder / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


def numbers(file: Path, *, stream: bool, target: str = "y", **options: Any) -> tuple[Any, ...]:
    """Return features, target and notes; of an error, its line."""
    with collected() as lines:
        try:
            problem = LinearRegression(data=file, target=target, stream=stream or None, **options)
            x, y = problem.measured()
        except UserError as error:
            return (str(error).replace(str(file), "FILE"),)
        features = x.read(np.arange(len(x))) if stream else x
    return features.tolist(), y.tolist(), [line.replace(str(file), "FILE") for line in lines]


def classes(file: Path, *, stream: bool = False, **options: Any) -> tuple[list[str], list[str]]:
    """Return the class of each example, and notes."""
    with collected() as lines:
        problem = LogisticRegression(data=file, target="y", stream=stream or None, **options)
        found = problem.classified()[1]
    said = [line.replace(str(file), "FILE") for line in lines]
    return [found.names[place] for place in found.places], said


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "#a,b,y\n" + ROWS,
            ["lines that begin with # are comments, and line 1 names the columns"],
        ),
        (
            "# by me\n# a b y\n" + ROWS.replace(",", " "),
            [
                "lines that begin with # are comments, and line 2 names the columns",
                "blanks between columns",
            ],
        ),
        ("a,b,y,\n" + ROWS.replace("\n", ",\n"), ["a separator at the end of each row"]),
        ("a,b,y\n" + ROWS.replace("\n", ",\n"), ["a separator at the end of each row"]),
        ("`a`,`b`,`y`\n" + ROWS, ["cells in `"]),
        ('"a", "b", "y"\n' + ROWS, []),
        (
            '"a \\"x\\"","b",y\n' + ROWS,
            ["backslashes before quotes and separators that belong to a cell"],
        ),
        ("a b;b;y\n" + ROWS.replace(",", ";"), ["semicolons between columns"]),
    ],
)
def test_how_others_write_tables(
    tmp_path: Path, text: str, said: list[str], *, stream: bool
) -> None:
    file = write(tmp_path, text)
    assert numbers(file, stream=stream) == (*TABLE, [SO + line for line in said])


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_wide_characters_are_known_without_a_mark(tmp_path: Path, encoding: str) -> None:
    file = write(tmp_path, ("\xe4,b,y\n" + ROWS).encode(encoding))
    assert numbers(file, stream=False) == (*TABLE, [f"{SO}the encoding {encoding}"])


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("text", "said"),
    [
        (",Unnamed: 0,a,b,y\n", "the first 2 columns have no names, and are read as an index"),
        ("Unnamed: 0,Unnamed: 0.1,a,b,y\n", "the first 2 columns have no names, and are read as"),
        ("a b y\n", "the first column has no name, and is read as an index, not as a feature"),
    ],
)
def test_an_index_without_a_name_is_no_feature(
    tmp_path: Path, text: str, said: str, *, stream: bool
) -> None:
    before = "0,9," if text.count(",") else "r"
    lines = [f"{before}{i},{row}" for i, row in enumerate(ROWS.split())]
    content = text + "\n".join(
        lines if before == "r" else [f"{i},{i},{r}" for i, r in enumerate(ROWS.split())]
    )
    file = write(tmp_path, content if "," in text else content.replace(",", " "))
    x, y, notes = numbers(file, stream=stream)
    assert (x, y) == TABLE
    assert notes[-1].startswith(f"FILE: {said}")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("text", "options", "error"),
    [
        (",,y\n" + ROWS, {}, "--data: FILE has no column besides 'y' and its index; give a file w"),
        (
            "A report\n\na,b,y\n" + ROWS,
            {},
            "FILE:3: values in the row: 3, columns in the header: 1",
        ),
        (
            "A, report\nby me\na,b,y\n" + ROWS,
            {},
            "FILE:2: values in the row: 1, columns in the hea",
        ),
        (
            "a,b,y\n" + ROWS + "\n# rows: 3\n",
            {},
            "FILE:6: values in the row: 1, columns in the header: 3; take out the row, or, if it i",
        ),
        (
            "Report,,\n,,\na,b,y\n" + ROWS,
            {},
            "FILE:1: column 2 has no name; name it, give --drop '",
        ),
        ("a,b,y\n" + ROWS, {"skip_rows": 9}, "FILE: no row is left; give a smaller --skip-rows"),
        (
            "a,y\n1,2\n",
            {"separator": '"'},
            """--separator: '"' cannot separate columns; give""",
        ),
        (" \n\n", {}, "FILE: it holds only blanks; give a header and at least one row"),
        ("# a\n# b\n", {}, "FILE: it holds only comments; give a header and at least one row"),
        (
            "a,y\n1,x\n",
            {},
            "FILE:2: 'x' in column 'y' is not a number; correct it, take out the row",
        ),
        (
            '"a,c",y\nred,1\n',
            {},
            "FILE:2: 'red' in column 'a,c' is not a number; give --categorical ",
        ),
        (
            "a,y\n#DIV/0!,1\n",
            {},
            "FILE:2: the value of column 'a' is missing ('#DIV/0!'); fill it in",
        ),
        (
            "a;y\n1,5;2\n2.5;3\n",
            {},
            "FILE:2: '1,5' in column 'a' is not a number; write all numbers",
        ),
        (
            "a;y\n1 234,5;2,5\n",
            {},
            "FILE:2: '1 234,5' in column 'a' is not a number; give --thousan",
        ),
    ],
)
def test_what_is_refused_says_what_helps(
    tmp_path: Path, text: str, options: dict[str, Any], error: str, *, stream: bool
) -> None:
    (said,) = numbers(write(tmp_path, text), stream=stream, **options)
    assert said.startswith(error)


def test_a_title_is_told_with_the_line_on_which_the_table_begins(tmp_path: Path) -> None:
    (said,) = numbers(write(tmp_path, "A report\n\na,b,y\n" + ROWS), stream=False)
    assert said.endswith("; give --skip-rows 2, if the table begins on line 3")
    assert numbers(tmp_path / "t.csv", stream=False, skip_rows=2) == (*TABLE, [])
    (said,) = numbers(write(tmp_path, "A report\n" + ROWS), stream=False)
    assert said.endswith("; give --skip-rows 1 --no-header, if the table begins on line 2")
    given: dict[str, Any] = {"skip_rows": 1, "header": False, "target": "2"}
    assert numbers(tmp_path / "t.csv", stream=False, **given) == (*TABLE, [])


def test_columns_without_names_are_counted_from_0(tmp_path: Path) -> None:
    file = tmp_path / "data.csv"
    file.write_text("1,2\n3,5\n")
    table = read_file(file, Reading(header=False))
    with pytest.raises(UserError, match="its columns are 0, 1; they are counted from 0"):
        table.place("2")


def test_a_name_with_a_comma_is_given_as_the_error_says(tmp_path: Path) -> None:
    file = write(tmp_path, '"a,c",b,y\nred,2,1\nblue,3,2\n')
    (said,) = numbers(file, stream=False)
    assert """ --drop '"a,c"'""" in said
    assert numbers(file, stream=False, drop='"a,c"') == ([[2.0], [3.0]], [1.0, 2.0], [])


def test_thousands_with_blanks_and_a_decimal_comma(tmp_path: Path) -> None:
    file = write(tmp_path, "a;y\n1 234,5;0,5\n3 000;1,5\n")
    assert numbers(file, stream=False, thousands="blank")[:2] == ([[1234.5], [3000.0]], [0.5, 1.5])


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("labels", "found", "said"),
    [
        (["yes", "Yes"], ["yes", "Yes"], "in column 'y' 'Yes' and 'yes' are two classes, as they"),
        (
            ["\xe9", "e\u0301"],
            ["\xe9", "e\u0301"],
            r"in column 'y' 'e\u0301' and '\xe9' are two classes, as they are written differently",
        ),
        (
            ["1 ", "1", "2"],
            ["1", "1", "2"],
            "FILE: in column 'y' '1' and '1 ' are one class: blanks",
        ),
        (["007", "7"], ["007", "7"], "in column 'y' '007' and '7' are two classes, as they are"),
        (
            ["NA", "?", "b"],
            ["NA", "?", "b"],
            "FILE: in column 'y' '?' and 'NA' are read as names",
        ),
    ],
)
def test_labels_are_what_is_written(
    tmp_path: Path, labels: list[str], found: list[str], said: str, *, stream: bool
) -> None:
    rows = [f'{i}.5,"{label}"' for i, label in enumerate(labels)]
    names, notes = classes(write(tmp_path, "\n".join(["a,y", *rows, ""])), stream=stream)
    assert names == found
    assert notes[0].startswith(said)


def test_measurements_that_are_taken_for_classes_are_told(tmp_path: Path) -> None:
    rows = [f"{i % 7},{i * 0.37}" for i in range(12)]
    _, notes = classes(write(tmp_path, "\n".join(["a,y", *rows, ""])))
    assert notes == [
        (
            "column 'y' has 12 different values in 12 rows; if they are measurements, run "
            "linear-regression or mlp --task regression"
        )
    ]


@pytest.mark.parametrize("stream", [False, True])
def test_identifiers_are_told(tmp_path: Path, *, stream: bool) -> None:
    rng = np.random.default_rng(0)
    ids = rng.permutation(10**6)[:60]
    frame = pd.DataFrame({"code": ids, "a": rng.random(60), "n": rng.integers(0, 50, 60)})
    frame["y"] = rng.random(60)
    frame.to_csv(tmp_path / "t.csv", index=False)
    said = (
        "FILE: column 'code' has a different whole number in each row, like an identifier; --drop "
    )
    assert numbers(tmp_path / "t.csv", stream=stream)[2] == [f"{said}'code' leaves it out"]
    np.save(tmp_path / "t.npy", frame.to_numpy())
    assert numbers(tmp_path / "t.npy", stream=stream, target="3")[2] == [
        said.replace("code", "0") + "'0' leaves it out"
    ]
    few = frame.sort_values("code").iloc[[1, 0, 2, 9]].rename(columns={"code": "user_id"})
    few.to_csv(tmp_path / "t.csv", index=False)
    assert "'user_id' has a different whole" in numbers(tmp_path / "t.csv", stream=stream)[2][0]


def test_of_many_indices_a_few_are_told(tmp_path: Path) -> None:
    names = ",".join(f"c{i}" for i in range(40))
    rows = [",".join(str(i + j) for j in range(41)) for i in range(12)]
    file = write(tmp_path, "\n".join([f"{names},y", *rows, ""]))
    for stream in (False, True):
        notes = numbers(file, stream=stream)[2]
        assert len(notes) == 6
        assert notes[-1] == "FILE: 35 other columns look like that, too"


def test_an_array_of_several_columns_tells_the_index_in_it(tmp_path: Path) -> None:
    x = np.stack([np.arange(20) ** 2 % 7, np.arange(20)], axis=1)
    np.savez(tmp_path / "t.npz", x=x, y=np.arange(20) % 3)
    said = "FILE: column 1 of 'x', counted from 0, rises from row to row, like an index"
    assert numbers(tmp_path / "t.npz", stream=False)[2] == [said]


@pytest.mark.parametrize("kind", ["int64", "uint64"])
def test_integers_of_an_array_that_stays_on_disk_keep_their_digits(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # of a long path a message has the beginning and the end
    file = Path("t.npy")
    np.save(file, np.array([[2**53, 1], [2**53 + 1, 2], [2**53, 3]], kind))
    problem = LogisticRegression(data=file, target="0", stream=True)
    assert problem.classified()[1].names == ("9007199254740992", "9007199254740993")
    for stream in (False, True):
        notes = numbers(file, stream=stream, target="1")[2]
        assert len(notes) == 1
        assert "such as 9007199254740993" in notes[0]
    (said,) = numbers(file, stream=True, target="1", header=False)
    assert said.startswith("--header: 'FILE' is a .npy file, which does not use this option")


def store(file: Path, **columns: Any) -> Path:
    parquet.write_table(pa.table(columns), file)
    return file


def test_labels_in_parquet_keep_what_they_are(tmp_path: Path) -> None:
    ids = [decimal.Decimal(11898508762506083287 + i) for i in (0, 1, 0)]
    kinds: list[tuple[Any, list[str]]] = [
        (pa.array(ids, pa.decimal128(38, 0)), [str(i) for i in ids]),
        (pa.array([True, False, True]), ["True", "False", "True"]),
        (pa.array(np.array([0.1, 0.2, 0.1], np.float32)), ["0.1", "0.2", "0.1"]),
        (
            pa.array([date(2023, 1, i) for i in (1, 2, 1)]),
            [f"2023-01-0{i}" for i in (1, 2, 1)],
        ),
        (pa.array([b"a", b"b", b"a"]), ["a", "b", "a"]),
    ]
    for values, names in kinds:
        assert classes(store(tmp_path / "t", a=[1.0, 2.0, 3.5], y=values))[0] == names
    with pytest.raises(UserError, match="not text or numbers; save it as text or numbers"):
        classes(store(tmp_path / "t", a=[1.0, 2.0], y=[[1], [2]]))


def test_what_pandas_says_in_parquet(tmp_path: Path) -> None:
    file = tmp_path / "t"
    frame = pd.DataFrame({"a": pd.Categorical([10, 9, 10]), "y": [1.0, 2.0, 3.0]})
    frame.to_parquet(file)
    (said,) = numbers(file, stream=False)
    assert said == (
        "FILE: column 'a' holds categories, not numbers; give --categorical 'a', or --drop 'a'"
    )
    x, _ = Source("", file, "y", categorical="auto").measured()
    assert x.parts(np.arange(3), np.arange(0))[0].tolist() == [[0, 1], [1, 0], [0, 1]]
    indexed = pd.DataFrame({"a": [1.5, 3.0]}, index=pd.Index([7, 5], name="y"))
    indexed.to_parquet(file)
    assert numbers(file, stream=False)[:2] == ([[1.5], [3.0]], [7.0, 5.0])  # that is asked for
    assert numbers(file, stream=False, target="a")[0].startswith("--data: FILE has no column besi")


def test_an_empty_parquet_file_and_one_that_pyarrow_has_no_type_for(tmp_path: Path) -> None:
    file = store(tmp_path / "t", a=pa.array([], "float64"), y=pa.array([], "float64"))
    assert numbers(file, stream=False) == ("FILE: it holds no row; add the examples",)
    file.write_bytes(file.read_bytes()[:-20] + bytes(20))
    assert numbers(file, stream=False)[0].startswith("FILE: pyarrow cannot read it as Parquet: ")


@pytest.mark.parametrize("stream", [False, True])
def test_a_header_that_stands_in_the_file_twice(tmp_path: Path, *, stream: bool) -> None:
    file = write(tmp_path, "a,b,y\n" + ROWS + "a, b,y\n" + ROWS)
    said = "FILE:5: the names of the columns are repeated here; take out the row"
    assert numbers(file, stream=stream) == (said,)


def test_a_second_header_among_text_is_told(tmp_path: Path) -> None:
    file = write(tmp_path, "k,y\nu,p\nv,q\nk,y\nu,q\n")
    with collected() as notes:
        Source("", file, "y", categorical="auto").classified()
    assert f"{file}:4: the names of the columns are repeated here, and read as an example" in notes
    with collected() as notes:
        Source("", file, "1", header=False, categorical="auto").classified()
    assert not any("again" in said for said in notes)


@pytest.mark.parametrize("stream", [False, True])
def test_a_column_without_a_value_is_to_be_dropped(tmp_path: Path, *, stream: bool) -> None:
    file = write(tmp_path, "a,e,y\n1,,2\n2,NA,3\n3,,5\n")
    said = "FILE:2: the value of column 'e' is missing; fill it in, or give --drop 'e'"
    assert numbers(file, stream=stream) == (said,)
    file = store(tmp_path / "t", a=[1.0, 2.0], e=pa.array([None, None], "float64"), y=[1.0, 2.0])
    said = "FILE: row 0, counted from 0, has no value in column 'e'; fill it in, or give --drop 'e'"
    assert numbers(file, stream=False) == (said,)
    file = write(tmp_path, "a,y\n1,\n2,NA\n")
    said = "FILE:2: the value of column 'y' is missing; fill it in, take out the row, or give "
    assert numbers(file, stream=stream)[0].startswith(said)


def test_arrays_that_are_dropped_may_be_of_any_shape(tmp_path: Path) -> None:
    file = tmp_path / "t.npz"
    np.savez(file, x=np.array(TABLE[0]), y=np.array(TABLE[1]), names=np.array(["a", "b"]), n=3)
    (said,) = numbers(file, stream=False)
    assert said.endswith("keep only arrays with a row for each example, or give --drop 'names'")
    assert numbers(file, stream=False, drop="names,n") == (*TABLE, [])


@pytest.mark.parametrize(
    ("arrays", "moved"),
    [
        ({"x": np.ones((4, 5, 3, 6)), "y": np.ones((6, 1))}, ("3", "'x'")),
        ({"y": np.ones(6), "x": np.ones((2, 6))}, ("1", "'x'")),
    ],
)
def test_examples_that_are_not_along_the_first_axis(
    tmp_path: Path, arrays: dict[str, Any], moved: tuple[str, str]
) -> None:
    file = tmp_path / "t.npz"
    np.savez(file, **arrays)
    (said,) = numbers(file, stream=False)
    axis, name = moved
    assert said.endswith(
        "; keep only arrays with a row for each example, or save "
        f"numpy.moveaxis(ARRAY, {axis}, 0), if axis {axis} of {name} counts them"
    )


@pytest.mark.parametrize(
    "arrays",
    [
        {"x": np.ones((6, 2)), "y": np.ones(6), "z": np.ones(2)},
        {"x": np.ones((5, 2)), "y": np.ones(5), "z": np.ones((6, 2))},
    ],
)
def test_an_array_that_is_too_long_is_not_turned(tmp_path: Path, arrays: dict[str, Any]) -> None:
    file = tmp_path / "t.npz"
    np.savez(file, **arrays)
    (said,) = numbers(file, stream=False)
    assert said.endswith("; keep only arrays with a row for each example, or give --drop 'z'")


@pytest.mark.parametrize(
    ("suffix", "whose", "stream"),
    [("npy", "it", False), ("npy", "it", True), ("npz", "'x'", False)],
)
def test_records_are_refused_by_name(
    tmp_path: Path, suffix: str, whose: str, *, stream: bool
) -> None:
    file = tmp_path / f"t.{suffix}"
    records = np.array([(1.5, 2)], [("a", "f8"), ("y", "i4")])
    if suffix == "npy":
        np.save(file, records)
    else:
        np.savez(file, x=records)
    (said,) = numbers(file, stream=stream)
    assert said.startswith(f"FILE: {whose} holds records with named fields; save it as CSV")


def test_classes_in_arrays(tmp_path: Path) -> None:
    file = tmp_path / "t.npz"
    x = np.array([1.5, 2.0, 7.0])
    np.savez(file, x=x, y=np.array([[1], [2], [1]]))
    assert classes(file)[0] == ["1", "2", "1"]
    np.savez(file, x=x, y=np.array(["nan", "1", "nan"]))
    names, notes = classes(file)
    assert names == ["nan", "1", "nan"]
    assert notes == ["FILE: in column 'y' 'nan' is read as a name"]
    np.savez(file, x=x, y=np.array(["", "1", "b"]))
    with pytest.raises(UserError, match="row 0, counted from 0, has no value in column 'y'; fill"):
        classes(file)
    np.savez(file, x=x, y=np.array([b"ab", b"cd", b"ab"]).view("V2"))
    with pytest.raises(UserError, match="not text or numbers; save its classes as text"):
        classes(file)


def book(file: Path, *sheets: tuple[str, list[list[Any]]]) -> Path:
    held = openpyxl.Workbook()
    held.remove(held.active)
    for name, rows in sheets:
        sheet = held.create_sheet(name)
        sheet.sheet_state = "hidden" if name == "hidden" else "visible"
        for row in rows:
            sheet.append(row)
    held.save(file)
    return file


def test_the_sheet_that_holds_a_table_is_read(tmp_path: Path) -> None:
    rows = [["a", "b", "y"], *(map(float, row.split(",")) for row in ROWS.split())]
    table = [list(row) for row in rows]
    other: list[list[Any]] = [["a", "y"], [1, 2], [3, 4]]
    notes: list[list[Any]] = [["About this file"], ["made by me"]]
    file = book(tmp_path / "t", ("hidden", other), ("notes", notes), ("data", table))
    assert numbers(file, stream=False) == (*TABLE, [f"{SO}its sheet 'data'"])
    shifted = [[], *([None, None, *row] for row in table)]
    assert numbers(book(tmp_path / "t", ("data", shifted)), stream=False) == (*TABLE, [])


def test_numbers_in_a_workbook_have_no_decimal_sign_of_their_own(tmp_path: Path) -> None:
    file = book(tmp_path / "t", ("data", [["a", "y"], ["1,5", 0.5], ["2,5", 1.5]]))
    assert numbers(file, stream=False, decimal=",") == ([[1.5], [2.5]], [0.5, 1.5], [])
    (said,) = numbers(file, stream=False, separator=";")
    assert said == (
        "--separator: 'FILE' is a .xlsx file, which does not use this option; leave it out"
    )


def test_a_formula_that_was_never_computed_is_told(tmp_path: Path) -> None:
    first: list[list[Any]] = [["a", "y"], [1, 0.5], ["=1+1", 1.5]]
    file = book(tmp_path / "t", ("data", first))
    (said,) = numbers(file, stream=False)
    assert said.startswith("FILE:3: '=1+1' in cell 1 is a formula without a value; open the file")
    last: list[list[Any]] = [["a", "y"], [1, 0.5], [2, "=A2"]]
    assert "'=A2' in cell 2" in numbers(book(tmp_path / "t", ("data", last)), stream=False)[0]


def test_labels_of_libsvm_are_numbers(tmp_path: Path) -> None:
    file = write(tmp_path, "+1 1:2\n1 1:3\n-1 1:5\n", "t.svm")
    with collected() as lines:
        assert len(Source("", file).classified()[1].names) == 2
    assert list(lines) == [
        f"{file}: the labels '+1' and '1' are the same number, so they are one class"
    ]
    for text, said in (("1,2 1:3\n", "are several labels"), (" 1:3\n", "there is no label")):
        with pytest.raises(UserError, match=said):
            read_file(write(tmp_path, text, "t.svm"), Reading())


def test_what_is_no_table_is_known_by_its_first_bytes(tmp_path: Path) -> None:
    strangers = {
        "a web page": b"\n<HTML><p>",
        "JSON": b'[\n  {"a": 1}]',
        "an ARFF file": b"% iris\n%\n@Relation iris\n",
        "a Feather file": b"FEA1....",
        "a Stata file": b"<stata_dta><header>",
        "a pickle": b"(lp0\n.",
    }
    for name, content in strangers.items():
        (said,) = numbers(write(tmp_path, content), stream=False)
        assert said.startswith(f"FILE: it is {name}, which ")
    (said,) = numbers(write(tmp_path, b"r\x01\xfd\x02\xb0\n"), stream=False)
    assert "it does not look like text" in said
