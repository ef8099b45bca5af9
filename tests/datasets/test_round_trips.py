"""What other programs write is read back to the same numbers, names and classes, or refused.

Refused in a line that names the option to give; never read as something else.
"""

from __future__ import annotations

import csv
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, assume, example, given, reject, settings
from hypothesis import strategies as st
from sklearn.datasets import dump_svmlight_file

from gdcli.datasets.cells import identity
from gdcli.datasets.reading import Reading, read_file
from gdcli.datasets.tabular import Source
from gdcli.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

OPTION = re.compile(
    r"--(separator|(no-)?header|decimal|thousands|encoding|comment|skip-rows|drop|categorical|missing)"
)
LETTERS = st.characters(codec="utf-8", exclude_categories=["C", "Z"])
# A name that is quoted alone or begins a comment is read as what it seems to be.
WORDS = st.text(LETTERS, min_size=1, max_size=6).filter(lambda t: t[0] not in "#'\"")
NUMBERS = st.one_of(st.floats(-1e9, 1e9), st.floats(-1e300, 1e300), st.integers(-99, 99))


@st.composite
def frames(draw: st.DrawFn) -> pd.DataFrame:
    """Draw a table of numbers with a last column of classes."""
    rows = draw(st.integers(2, 12))
    names = draw(st.lists(WORDS, min_size=2, max_size=4, unique=True))
    columns: dict[str, Any] = {
        name: draw(st.lists(NUMBERS, min_size=rows, max_size=rows)) for name in names[:-1]
    }
    classes = draw(st.lists(WORDS, min_size=2, max_size=3, unique_by=identity))
    labels = draw(st.lists(st.sampled_from(classes), min_size=rows, max_size=rows))
    labels[:2] = classes[:2]
    columns[names[-1]] = labels
    return pd.DataFrame(columns)


PACKED = ["gzip", "bz2", "xz", "zip"]
MARKED = ["utf-16", "utf-32"]  # pandas writes their mark of the order of bytes in no packed file


@st.composite
def ways(draw: st.DrawFn) -> dict[str, Any]:
    """Draw the options of a program that writes a CSV file."""
    quoting = draw(
        st.sampled_from(
            [
                csv.QUOTE_MINIMAL,
                csv.QUOTE_ALL,
                csv.QUOTE_NONNUMERIC,
                csv.QUOTE_NONE,
            ]
        )
    )
    doubled = draw(st.booleans()) and quoting != csv.QUOTE_NONE
    packed = draw(st.sampled_from([None, *PACKED]))
    encodings = ["utf-8", "utf-8-sig", "utf-16-le", "utf-16-be", "cp1252", "latin-1"]
    return {
        "quoting": quoting,
        # Where few cells are quoted, it is not to be seen that other signs are no letters.
        "quotechar": draw(st.sampled_from(['"', "'", "`", "$"]))
        if quoting == csv.QUOTE_ALL
        else '"',
        "doublequote": doubled,
        "escapechar": None if doubled else "\\",
        "sep": draw(st.sampled_from([",", ";", "\t", "|", " ", "^"])),
        "decimal": draw(st.sampled_from([".", ","])),
        "index": draw(st.booleans()),
        "header": draw(st.sampled_from([True, True, False])),
        "lineterminator": draw(st.sampled_from(["\n", "\r\n", "\r"])),
        "na_rep": draw(st.sampled_from(["", "NA", "nan", "#N/A", "-", "missing"])),
        "float_format": draw(st.sampled_from([None, "%.3f", "%.17g", "%e"])),
        "date_format": draw(st.sampled_from([None, "%d.%m.%Y"])),
        "compression": packed,
        "encoding": draw(st.sampled_from(encodings if packed else [*encodings, *MARKED])),
    }


def same(file: Path, target: str, frame: pd.DataFrame, reading: Reading, digits: int = 0) -> None:
    """Assert that a file holds a frame, whose last column is that of classes."""
    options = {name: getattr(reading, name) for name in Reading.__dataclass_fields__}
    x, classes = Source("", file, target, **options).classified()
    close = 10.0**-digits if digits else 0.0
    np.testing.assert_allclose(x, frame.iloc[:, :-1].to_numpy(np.float64), rtol=close)
    found = [classes.names[place] for place in classes.places]
    assert list(map(identity, found)) == [identity(str(v)) for v in frame.iloc[:, -1]]


def rounded(frame: pd.DataFrame, form: str | None) -> pd.DataFrame:
    """Return a frame as it is when its numbers were written in a form."""
    if form is None:
        return frame
    numbers = {
        name: [float(form % v) if isinstance(v, float) else v for v in frame[name]]
        for name in frame.columns[:-1]
        if frame[name].dtype.kind == "f"
    }
    return frame.assign(**numbers)


def with_a_hole(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame with one more row, which has no value but its class."""
    last = pd.DataFrame({frame.columns[-1]: [frame.iloc[0, -1]]})
    return pd.concat([frame, last], ignore_index=True)


QUIET = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@QUIET
@given(frame=frames(), way=ways(), more=st.sets(st.sampled_from(["holes", "dates"])))
@example(pd.DataFrame({"a": [0.5, 1.5], "b": ["x", "y"]}), {"sep": ";", "decimal": ","}, set())
def test_what_pandas_writes_as_csv(
    tmp_path: Path, frame: pd.DataFrame, way: dict[str, Any], more: set[str]
) -> None:
    holes, dates = "holes" in more, "dates" in more
    file = tmp_path / "t.data"
    written = frame.copy()
    if holes:  # a row that is to be dropped
        written = with_a_hole(frame)
    day = next(name for name in ("day", "d", "t") if name not in frame)
    if dates:  # a column that is to be dropped
        written.insert(0, day, pd.date_range("2023-05-01", periods=len(written)))
    try:
        written.to_csv(file, **way)
    except UnicodeEncodeError:  # names that an encoding has no letters for
        reject()
    except csv.Error:  # what cannot be written without quotes
        reject()
    header, index = way.get("header", True), way.get("index", True)
    expected = rounded(frame, way.get("float_format"))
    target = str(frame.columns[-1]) if header else str(written.shape[1] - 1 + index)
    dropped = [day if header else str(int(index))] if dates else []
    given_: dict[str, Any] = {
        "missing": "drop" if holes else "error",
        "drop": ",".join(dropped) or None,
    }
    try:
        same(file, target, expected, Reading(**given_))
    except UserError as error:
        assert OPTION.search(str(error)), error  # noqa: PT017 -- either is right
    if not header and index:
        dropped.append("0")
    told = Reading(
        **given_ | {"drop": ",".join(dropped) or None},
        separator={" ": "blanks"}.get(way["sep"], way["sep"]),
        decimal=way["decimal"],
        encoding=way.get("encoding", "utf-8"),
        header=header,
    )
    try:
        same(file, target, expected, told)
    except UserError as error:
        # Quotes of another kind, escapes, and blanks, are the only things left to be unclear.
        unclear = way["quotechar"] != '"' or way["sep"] == " " or not way["doublequote"]
        assert unclear, error  # noqa: PT017


FRAMES_IN_PARQUET = st.fixed_dictionaries(
    {
        "index": st.sampled_from(["none", "kept", "turned", "named", "two"]),
        "compression": st.sampled_from(["snappy", "gzip", "brotli", "zstd", "lz4", None]),
        "text": st.sampled_from(["str", "category", "object"]),
        "number": st.sampled_from(["float64", "Float64", "double[pyarrow]"]),
    }
)


@QUIET
@given(frame=frames(), way=FRAMES_IN_PARQUET)
def test_what_pandas_writes_as_parquet(
    tmp_path: Path, frame: pd.DataFrame, way: dict[str, Any]
) -> None:
    index = way["index"]
    rows = list(range(len(frame)))
    indices: dict[str, Any] = {
        "turned": [*rows[:0:-1], 99],
        "named": pd.Index([*rows[1:], 7], name="an index"),
        "two": pd.MultiIndex.from_arrays([rows, [*rows[1:], 0]], names=["an index", None]),
    }
    kept = frame.set_axis(indices[index]) if index in indices else frame
    types = dict.fromkeys(frame.columns, way["number"]) | {frame.columns[-1]: way["text"]}
    options = {"index": index != "none"} if index in ("none", "kept") else {}
    kept.astype(types).to_parquet(tmp_path / "t", compression=way["compression"], **options)
    same(tmp_path / "t", frame.columns[-1], frame, Reading())


ARRAYS = st.fixed_dictionaries(
    {
        "save": st.sampled_from([np.savez, np.savez_compressed]),
        "coded": st.booleans(),
        "matrix": st.booleans(),
        "order": st.sampled_from(["C", "F"]),
        "kind": st.sampled_from(["<f8", ">f8"]),
    }
)


@QUIET
@given(frame=frames(), way=ARRAYS)
def test_what_numpy_writes(tmp_path: Path, frame: pd.DataFrame, way: dict[str, Any]) -> None:
    x = frame.iloc[:, :-1].to_numpy(way["kind"])
    labels: Any = frame.iloc[:, -1].to_numpy().astype(str)
    if way["coded"]:
        labels = np.array([label.encode() for label in labels])
    columns = {f"c{i}": column for i, column in enumerate(x.T)}
    arrays: dict[str, Any] = {"x": np.asarray(x, order=way["order"])} if way["matrix"] else columns
    with (tmp_path / "t").open("wb") as file:
        way["save"](file, **arrays, y=labels)
    same(tmp_path / "t", "y", frame, Reading())


@QUIET
@given(
    x=st.lists(st.lists(st.floats(-1e9, 1e9), min_size=3, max_size=3), min_size=2, max_size=6),
    way=st.fixed_dictionaries(
        {
            "zero_based": st.booleans(),
            "comment": st.sampled_from([None, "made by me", "1 2:3"]),
            "multilabel": st.booleans(),
        }
    ),
    ids=st.booleans(),
)
def test_what_scikit_learn_writes(
    tmp_path: Path, x: list[list[float]], way: dict[str, Any], *, ids: bool
) -> None:
    features = np.array(x)
    assume(features.any(axis=0).all())
    y = np.arange(len(x)) % 2
    labels = np.stack([y, np.ones_like(y)], axis=1) if way["multilabel"] else y
    query = {"query_id": y if ids else None}
    dump_svmlight_file(features, labels, str(tmp_path / "t"), **query, **way)
    if way["multilabel"]:
        with pytest.raises(UserError, match=r"are several labels|there is no label"):
            Source("", tmp_path / "t", "label").classified()
        return
    found, classes = Source("", tmp_path / "t").classified()
    np.testing.assert_allclose(found, features, rtol=1e-14)  # it writes 16 digits
    assert classes.places.tolist() == y.tolist()


SHEETS = st.fixed_dictionaries(
    {
        "sheet_name": st.sampled_from(["Sheet1", "My data"]),
        "index": st.booleans(),
        "header": st.booleans(),
        "startrow": st.integers(0, 3),
        "startcol": st.integers(0, 2),
        "na_rep": st.sampled_from(["", "NA", "#N/A"]),
    }
)


@QUIET
@given(frame=frames(), way=SHEETS, holes=st.booleans())
def test_what_pandas_writes_for_excel(
    tmp_path: Path, frame: pd.DataFrame, way: dict[str, Any], *, holes: bool
) -> None:
    index, header = way["index"], way["header"]
    # What begins so is written as a formula.
    assume(not any(text.startswith("=") for text in (*frame, *map(str, frame.iloc[:, -1]))))
    written = frame.copy()
    if holes:
        written = with_a_hole(frame)
    try:
        written.to_excel(tmp_path / "t.xlsx", **way)
    except ValueError:  # characters and numbers that no workbook holds
        reject()
    target = frame.columns[-1] if header else str(frame.shape[1] - 1 + index)
    missing: Any = "drop" if holes else "error"
    try:
        same(tmp_path / "t.xlsx", target, frame, Reading(missing=missing), digits=14)
    except UserError as error:
        assert OPTION.search(str(error)), error  # noqa: PT017
    drop = "0" if index and not header else None
    told = Reading(missing=missing, header=header, drop=drop)
    same(tmp_path / "t.xlsx", target, frame, told, digits=14)


@pytest.mark.parametrize("missing", ["", "NA", "nan", "NULL", "None", "?"])
def test_what_is_missing_is_found_and_dropped_or_filled(tmp_path: Path, missing: str) -> None:
    frame = pd.DataFrame({"a": [1.5, np.nan, 2.5, 4.0], "b": [1, 2, 3, 4], "y": list("nyny")})
    frame.to_csv(tmp_path / "t", index=False, na_rep=missing)
    with pytest.raises(UserError, match=r"t:3: the value of column 'a' is missing.*--missing drop"):
        same(tmp_path / "t", "y", frame, Reading())
    same(tmp_path / "t", "y", frame.dropna(), Reading(missing="drop"))
    frame.to_parquet(tmp_path / "p")
    same(tmp_path / "p", "y", frame.dropna(), Reading(missing="drop"))
    arrays: dict[str, Any] = {name: frame[name].to_numpy() for name in ("a", "b")}
    np.savez(tmp_path / "n.npz", **arrays, y=frame["y"].to_numpy("U"))
    same(tmp_path / "n.npz", "y", frame.dropna(), Reading(missing="drop"))


def test_the_columns_of_a_frame_are_those_of_its_file(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [1, 2], "b b": [3, 4]}, index=pd.Index([7, 5], name="id"))
    frame.to_parquet(tmp_path / "p")
    assert read_file(tmp_path / "p").columns == ("a", "b b", "id")
    assert read_file(tmp_path / "p").index == ("id",)
    frame.to_csv(tmp_path / "c")
    assert read_file(tmp_path / "c").columns == ("id", "a", "b b")
