"""Every format of a data file: the same examples, whatever they are written in."""

from __future__ import annotations

import gzip
import io
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from sklearn.datasets import dump_svmlight_file, load_svmlight_file

from gdcli.datasets.reading import read_file
from gdcli.datasets.tabular import Source
from gdcli.errors import UserError
from gdcli.fields import show

if TYPE_CHECKING:
    from pathlib import Path

X = np.array([[1.5, 0.0, -2.0], [0.25, 3.0, 1e-7], [4.0, -1.0, 0.125], [7.0, 0.5, 2.0]])
Y = np.array([3.0, 9.0, 10.0, 9.0])


def write_csv(file: Path, separator: str = ",") -> None:
    rows = [["a", "b", "c", "y"], *np.column_stack([X, Y]).tolist()]
    text = "".join(separator.join(map(str, row)) + "\n" for row in rows).encode()
    file.write_bytes(gzip.compress(text) if file.suffix == ".gz" else text)


def write(folder: Path, name: str) -> Path:
    """Write the examples in the format that a name says."""
    file = folder / name
    table = {"a": X[:, 0], "b": X[:, 1], "c": X[:, 2], "y": Y}
    match file.suffixes[0]:
        case ".csv":
            write_csv(file)
        case ".npy":
            np.save(file, np.column_stack([X, Y]))
        case ".npz":
            np.savez_compressed(file, x=X, y=Y)
        case ".svm" | ".libsvm":
            text = io.BytesIO()
            dump_svmlight_file(X, Y, text, zero_based=False, comment="what they are")
            packed = gzip.compress(text.getvalue())
            file.write_bytes(packed if file.suffix == ".gz" else text.getvalue())
        case ".parquet":
            parquet.write_table(pa.table(table), file)
    return file


FORMATS = {
    "e.csv": "y",
    "e.csv.gz": "y",
    "e.npy": "3",
    "e.npz": "y",
    "e.svm": None,
    "e.libsvm.gz": "label",
    "e.parquet": "y",
}


@pytest.mark.parametrize(("name", "target"), FORMATS.items())
def test_a_format_holds_the_examples(tmp_path: Path, name: str, target: str | None) -> None:
    source = Source("", write(tmp_path, name), target)
    x, y = source.measured()
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(y, Y)
    assert x.dtype == y.dtype == np.float64
    x, classes = source.classified()
    np.testing.assert_array_equal(x, X)
    assert classes.places.tolist() == [0, 1, 2, 1]


@pytest.mark.parametrize("separator", [";", "\t", "|", ","])
def test_the_header_says_what_separates_columns(tmp_path: Path, separator: str) -> None:
    write_csv(tmp_path / "e.txt", separator)
    np.testing.assert_array_equal(read_file(tmp_path / "e.txt").features("y"), X)
    (tmp_path / "e.csv").write_text(f'"a,b;|c,,,,,"{separator}y\n1{separator}2\n')
    assert read_file(tmp_path / "e.csv").columns == ("a,b;|c,,,,,", "y")


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("kind", ["float32", "int16", "uint8", "bool", "float64", ">f8", "float16"])
def test_a_matrix_of_any_numbers(tmp_path: Path, kind: str, order: Any) -> None:
    values = np.arange(12).reshape(4, 3).astype(kind, order=order)
    np.save(tmp_path / "m.npy", values)
    x, y = Source("", tmp_path / "m.npy", "1").measured()
    np.testing.assert_array_equal(x, values[:, [0, 2]].astype(float))
    np.testing.assert_array_equal(y, values[:, 1].astype(float))


def test_arrays_besides_the_target_stand_side_by_side(tmp_path: Path) -> None:
    images = np.arange(24).reshape(4, 2, 3)
    np.savez(tmp_path / "a.npz", image=images, weight=Y, kind=np.array(list("abba")))
    x, classes = Source("", tmp_path / "a.npz", "kind").classified()
    np.testing.assert_array_equal(x, np.column_stack([images.reshape(4, 6), Y]))
    assert classes.places.tolist() == [0, 1, 1, 0]


def test_scikit_learn_reads_the_same_from_a_libsvm_file(tmp_path: Path) -> None:
    file = tmp_path / "e.svm"
    file.write_text("# a comment\n1 qid:3 2:0.5 7:-1e-3 # one\n-1 1:3\n\n+1.5\n")
    x, y = load_svmlight_file(str(file))
    found, label = Source("", file).measured()
    np.testing.assert_array_equal(found, x.toarray())
    np.testing.assert_array_equal(label, y)
    file.write_text("1 0:5 1:6\n0 1:7\n")
    assert Source("", file).measured()[0].tolist() == [[5, 6], [0, 7]]


def test_classes_of_a_parquet_file_may_be_text(tmp_path: Path) -> None:
    file = tmp_path / "e.parquet"
    table = pa.table({"a": [1, 2, 3], "kind": ["b", "a", "b"]})
    parquet.write_table(table, file, row_group_size=2)
    x, classes = Source("", file, "kind").classified()
    assert x.tolist() == [[1], [2], [3]]
    assert classes.places.tolist() == [1, 0, 1]


def test_without_pyarrow_a_parquet_file_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path, "e.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(UserError) as caught:
        read_file(file)
    what = (
        f"--data: {show(str(file))} is a Parquet file, and pyarrow is not installed; install "
        f"gdcli[parquet]"
    )
    assert str(caught.value) == what


WRONG: list[tuple[str, dict[str, Any], str | None, str]] = [
    ("a.npz", {"x": X, "y": Y[:3]}, "y", "FILE: the array 'y' has 3 rows, 'x' 4; keep only arrays"),
    (
        "a.npz",
        {"x": X, "y": np.array(3.0)},
        "y",
        "FILE: the array 'y' has one value, 'x' 4; keep o",
    ),
    ("a.npz", {}, "y", "FILE: it contains no array; write it with numpy.savez"),
    ("a.npz", {"x": X, "y": Y}, "z", "--target: FILE has no column 'z'; its columns are x, y"),
    ("a.npz", {"y": Y}, "y", "--data: FILE has no column besides 'y'; give a file with "),
    ("a.npz", {"x": X, "y": np.array(list("abba"))}, "y", "FILE: the array 'y' holds <U1, not num"),
    ("a.npz", {"x": X * np.nan, "y": Y}, "y", "FILE: row 0, counted from 0, holds nan, which is n"),
    (
        "a.npy",
        {"m": Y},
        "0",
        "FILE: its array has the shape 4, so it holds no matrix of examples; give a matrix ",
    ),
    (
        "a.npy",
        {"m": np.ones((2, 3, 3))},
        "0",
        "FILE: its array has the shape 2 x 3 x 3, so it holds no matrix of examples; put it into",
    ),
    (
        "a.npy",
        {"m": X[:0]},
        "0",
        "FILE: its array has the shape 0 x 3, so it holds no matrix of examples; give",
    ),
    ("a.npy", {"m": X}, "7", "--target: FILE has no column '7'; its columns are 0, 1, 2"),
    ("a.npy", {"m": X * 1j}, "0", "FILE: its array holds complex128, not numbers; make them"),
    ("a.parquet", {"x": [1, None], "y": [1, 2]}, "y", "FILE: row 1, counted from 0, has no value "),
    (
        "a.parquet",
        {"x": [1, 2], "y": ["1", "b"]},
        "y",
        "FILE: column 'y' holds text, not numbers; name another --target, or, if ",
    ),
    ("a.parquet", {"x": [1.0, np.inf], "y": [1, 2]}, "y", "FILE: row 1, counted from 0, holds inf"),
    ("a.svm", {"": "1 a:3"}, None, "FILE:1: 'a:3' is not index:value; write pairs such as 3:0.5"),
    ("a.svm", {"": "1 1:3\n2 3:1 3:2"}, None, "FILE:2: the index 3 follows 3; write ascending in"),
    ("a.svm", {"": "1 1:3\n\nx 3:1"}, None, "FILE:3: 'x' is not a finite number; correct it"),
    ("a.svm", {"": "1 1:nan"}, None, "FILE:1: 'nan' is not a finite number; correct it"),
    (
        "a.svm",
        {"": "# nothing"},
        None,
        "FILE: it contains no example; give a label and index:value",
    ),
    ("a.svm", {"": "1 1:3"}, "2", "--target: the target of FILE is its label, not '2'; leave it o"),
]


@pytest.mark.parametrize(("name", "content", "target", "error"), WRONG)
def test_a_wrong_file(
    tmp_path: Path, name: str, content: dict[str, Any], target: str | None, error: str
) -> None:
    file = tmp_path / name
    match file.suffix:
        case ".npz":
            np.savez(file, **content)
        case ".npy":
            np.save(file, content["m"])
        case ".parquet":
            parquet.write_table(pa.table(content), file)
        case _:
            file.write_text(content[""])
    with pytest.raises(UserError) as caught:
        Source("", file, target).measured()
    assert str(caught.value).startswith(error.replace("FILE", str(file)))


@pytest.mark.parametrize("name", ["x.npy", "x.npz", "x.svm", "x.parquet", "x.csv"])
def test_a_file_that_is_not_there(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=r"^--data: there is no file '.*x\..*'; check the path$"):
        read_file(tmp_path / name)


def test_no_single_column_has_classes(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=X, y=Y)
    with pytest.raises(
        UserError,
        match=r"'x' of .* has the shape 4 x 3, so it is not one "
        r"column; ",
    ):
        Source("", tmp_path / "a.npz", "x").classified()
    np.savez(tmp_path / "a.npz", x=X, y=Y * np.nan)
    with pytest.raises(UserError, match="row 0, counted from 0, holds nan"):
        Source("", tmp_path / "a.npz", "y").classified()
