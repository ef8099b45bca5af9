"""Texts in CSV files: no spreadsheet runs them, and they come back."""

from __future__ import annotations

import io

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdcli.numbers import as_given, csv_line, harmless
from gdcli.runs.csv_read import value_of

LABELS = [
    "=1+1",
    "+cmd",
    "-cmd",
    "-2+3",
    "@SUM(A1)",
    "\uff1d1+1",
    "\tx",
    "\rx",
    "'=x",
    "'quoted",
    "it's",
    "plain",
]


@given(st.text())
def test_every_text_comes_back(text: str) -> None:
    cell = harmless(text)
    assert as_given(cell) == text
    assert not cell.startswith(("=", "@", "\t", "\r", "\n"))


@pytest.mark.parametrize("number", ["-1", "+1", "-0.5e-3", "-inf", "-nan", "3", ""])
def test_numbers_are_left_alone(number: str) -> None:
    assert harmless(number) == number


def test_pandas_gives_the_label_back() -> None:
    text = "".join(
        csv_line(["label", "1"] if k == 0 else [LABELS[k - 1], "2"]) for k in range(1 + len(LABELS))
    )
    frame = pd.read_csv(io.StringIO(text), converters={"label": lambda t: t.removeprefix("'")})
    assert frame["label"].tolist() == LABELS
    assert [value_of(harmless(label)) for label in LABELS] == LABELS
