"""What other programs write is read back to the same numbers, names and classes, or refused.

Refused in a line that names the option to give; never read as something else.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, assume, example, given, reject, settings
from hypothesis import strategies as st
from sklearn.datasets import dump_svmlight_file

from gdcli.datasets.cells import identity
from gdcli.datasets.formats import read_file
from gdcli.datasets.reading import Reading
from gdcli.datasets.source import Source
from gdcli.errors import UserError

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


@st.composite
def ways(draw: st.DrawFn) -> dict[str, Any]:
    """Draw the options of a program that writes a CSV file."""
    quoting = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]))
    return {
        "quoting": quoting,
        # Where few cells are quoted, it is not to be seen that single quotes are no letters.
        "quotechar": draw(st.sampled_from(['"', "'"])) if quoting else '"',
        "sep": draw(st.sampled_from([",", ";", "\t", "|", " ", "^"])),
        "decimal": draw(st.sampled_from([".", ","])),
        "index": draw(st.booleans()),
        "header": draw(st.sampled_from([True, True, False])),
        "lineterminator": draw(st.sampled_from(["\n", "\r\n", "\r"])),
        # To a packed file pandas writes no mark of the order of bytes, which two of these need.
        **draw(
            st.one_of(
                st.fixed_dictionaries(
                    {
                        "encoding": st.sampled_from(["utf-8", "utf-8-sig", "utf-16-le"]),
                        "compression": st.sampled_from(["gzip", "bz2", "xz", "zip"]),
                    }
                ),
                st.fixed_dictionaries(
                    {"encoding": st.sampled_from(["utf-8", "utf-16", "utf-16-le", "utf-32"])}
                ),
            )
        ),
    }


def same(file: Path, target: str, frame: pd.DataFrame, reading: Reading, digits: int = 0) -> None:
    """Assert that a file holds a frame, whose last column is that of classes."""
    options = {name: getattr(reading, name) for name in Reading.__dataclass_fields__}
    x, classes = Source("", file, target, **options).classified()
    close = 10.0**-digits if digits else 0.0
    np.testing.assert_allclose(x, frame.iloc[:, :-1].to_numpy(np.float64), rtol=close)
    found = [classes.names[place] for place in classes.places]
    assert list(map(identity, found)) == [identity(str(v)) for v in frame.iloc[:, -1]]


QUIET = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@QUIET
@given(frame=frames(), way=ways())
@example(pd.DataFrame({"a": [0.5, 1.5], "b": ["x", "y"]}), {"sep": ";", "decimal": ","})
def test_what_pandas_writes_as_csv(
    tmp_path: Path, frame: pd.DataFrame, way: dict[str, Any]
) -> None:
    file = tmp_path / "t.data"
    frame.to_csv(file, **way)
    target = (
        frame.columns[-1] if way.get("header", True) else str(frame.shape[1] - 1 + way["index"])
    )
    try:
        same(file, target, frame, Reading())
    except UserError as error:
        assert OPTION.search(str(error)), error  # noqa: PT017 -- either is right
    drop = None if way.get("header", True) or not way["index"] else "0"
    told = Reading(
        separator={" ": "blanks"}.get(way["sep"], way["sep"]),
        decimal=way["decimal"],
        encoding=way.get("encoding", "utf-8"),
        header=way.get("header", True),
        drop=drop,
    )
    try:
        same(file, target, frame, told)
    except UserError as error:
        # Quotes of another kind, and blanks, are the only things left to be unclear.
        assert way["quotechar"] == "'" or way["sep"] == " ", error  # noqa: PT017


@QUIET
@given(frame=frames())
def test_what_pandas_writes_as_parquet(tmp_path: Path, frame: pd.DataFrame) -> None:
    for index in (None, list(range(5, 5 + len(frame)))[::-1]):
        kept = frame.set_axis(index) if index else frame
        for target in ("str", "category"):
            kept.astype({kept.columns[-1]: target}).to_parquet(tmp_path / "t")
            same(tmp_path / "t", frame.columns[-1], frame, Reading())


@QUIET
@given(frame=frames())
def test_what_numpy_writes(tmp_path: Path, frame: pd.DataFrame) -> None:
    names = [f"c{i}" for i in range(frame.shape[1])]
    arrays: dict[str, Any] = {
        name: frame[old].to_numpy() for name, old in zip(names, frame, strict=True)
    }
    arrays[names[-1]] = arrays[names[-1]].astype(str)
    with (tmp_path / "t").open("wb") as file:
        np.savez_compressed(file, **arrays)
    same(tmp_path / "t", names[-1], frame, Reading())


@QUIET
@given(
    x=st.lists(st.lists(st.floats(-1e9, 1e9), min_size=3, max_size=3), min_size=2, max_size=6),
    zero_based=st.booleans(),
)
def test_what_scikit_learn_writes(
    tmp_path: Path, x: list[list[float]], *, zero_based: bool
) -> None:
    features = np.array(x)
    assume(features.any(axis=0).all())
    y = np.arange(len(x)) % 2
    dump_svmlight_file(features, y, str(tmp_path / "t"), zero_based=zero_based)
    found, classes = Source("", tmp_path / "t").classified()
    np.testing.assert_allclose(found, features, rtol=1e-14)  # it writes 16 digits
    assert classes.places.tolist() == y.tolist()


@QUIET
@given(frame=frames())
def test_what_pandas_writes_for_excel(tmp_path: Path, frame: pd.DataFrame) -> None:
    try:
        frame.to_excel(tmp_path / "t.xlsx", index=False)
    except ValueError:  # characters and numbers that no workbook holds
        reject()
    try:
        same(tmp_path / "t.xlsx", frame.columns[-1], frame, Reading(), digits=14)
    except UserError as error:
        assert OPTION.search(str(error)), error  # noqa: PT017


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
