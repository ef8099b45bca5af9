"""What a cell of text means, and what is said of it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdcli.datasets.cells import (
    Style,
    advice,
    collected,
    identity,
    lost_digits,
    number,
    number_classes,
)
from gdcli.errors import UserError

PLAIN = Style()
COMMAS = Style(decimal=",")
GERMAN = Style(decimal=",", thousands=".")
SWISS = Style(thousands="'")
FRENCH = Style(decimal=",", thousands="blank")


@pytest.mark.parametrize(
    ("style", "cell", "value"),
    [
        (PLAIN, "1", 1.0),
        (PLAIN, "-1.5e3", -1500.0),
        (PLAIN, "+.5", 0.5),
        (PLAIN, "2023_05", None),
        (PLAIN, "1_000", None),
        (PLAIN, "\uff11\uff12", None),
        (PLAIN, "\u0663", None),
        (PLAIN, "1\u00a0000", None),
        (PLAIN, "nan", None),
        (PLAIN, "inf", None),
        (PLAIN, "1e999", None),
        (PLAIN, "0x10", None),
        (PLAIN, "1,5", None),
        (PLAIN, "", None),
        (COMMAS, "3,24", 3.24),
        (COMMAS, "3", 3.0),
        (COMMAS, "3.24", None),
        (COMMAS, "1.234,5", None),
        (GERMAN, "1.234,5", 1234.5),
        (GERMAN, "1.234.567", 1234567.0),
        (GERMAN, "12.34", None),
        (GERMAN, "1.2345", None),
        (SWISS, "1'234.5", 1234.5),
        (FRENCH, "1 234 567,5", 1234567.5),
        (FRENCH, "1\u202f234,5", 1234.5),
        (SWISS, "1\u2019234\u2019567.5", 1234567.5),
        (Style(thousands=","), "1,23,456", 123456.0),
        (Style(thousands=","), "1,23", None),
    ],
)
def test_what_is_a_number(style: Style, cell: str, value: float | None) -> None:
    assert style.number(cell) == value


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_is_the_one_that_was_printed(value: float) -> None:
    assert number(repr(value)) == value
    assert COMMAS.number(repr(value).replace(".", ",")) == value
    assert identity(repr(value)) == value


@given(st.integers(-(10**9), 10**9), st.sampled_from([",", "."]))
def test_thousands_are_put_together(value: int, mark: str) -> None:
    style = Style(decimal="." if mark == "," else ",", thousands=mark)
    assert style.number(f"{value:,}".replace(",", mark)) == value


@given(st.text("0123456789+-.eE_ '\u0663x", min_size=1, max_size=8))
def test_nothing_is_a_number_that_other_programs_take_for_text(cell: str) -> None:
    """Held to pandas, which is as strict; blanks around a cell are taken off before."""
    theirs = pd.to_numeric(pd.Series([cell.strip()]), errors="coerce")[0]
    ours = PLAIN.number(cell.strip())
    assert (ours is None) == (not np.isfinite(theirs)), (ours, theirs)


@pytest.mark.parametrize(
    ("labels", "places"),
    [
        (["10", "9", "1.0", "1"], [2, 1, 0, 0]),
        (["b", "a", "10", "b"], [2, 1, 0, 2]),
        (["007", "7", "7.0"], [0, 1, 1]),
        (["2.10", "2.1"], [1, 0]),
        (["1e3", "1000"], [1, 0]),
        (["11898508762506083288", "11898508762506083287"], [1, 0]),
        (["1_0", "10"], [1, 0]),
        (["1.00", "10.00", "2.00"], [0, 2, 1]),
        (["+1", "-1"], [1, 0]),
        (["nan", "1", "a"], [2, 0, 1]),
    ],
)
def test_classes_keep_their_identity(labels: list[str], places: list[int]) -> None:
    assert number_classes(labels, "y").places.tolist() == places
    array = np.array(labels)
    assert number_classes(array.tolist(), "y").places.tolist() == places


def test_integers_keep_their_identity() -> None:
    labels = np.array([2**60, 2**60 + 1, 2**60], np.int64)
    classes = number_classes(labels, "y")
    assert classes.places.tolist() == [0, 1, 0]
    assert classes.names == (str(2**60), str(2**60 + 1))


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (["1", "1.0", "2"], "in column 'y' '1' and '1.0' are one class"),
        (["07", "7"], "in column 'y' '07' and '7' are two classes, as they are written differ"),
        (["1", "1.0", "a"], "in column 'y' '1' and '1.0' are two classes, as they are written"),
    ],
)
def test_classes_that_look_alike_are_told(labels: list[str], said: str) -> None:
    with collected() as lines:
        number_classes(labels, "y")
    (line,) = lines
    assert line.startswith(said)


def test_labels_that_are_one_class_are_told_where_there_is_no_other() -> None:
    with pytest.raises(UserError, match=r"only the value '1' \('1\.0' is the same number\)"):
        number_classes(["1", "1.0"] * 3, "y")


def test_digits_that_float64_does_not_keep() -> None:
    assert lost_digits(["1", "9007199254740992", "9007199254740993"], PLAIN) == "9007199254740993"
    assert lost_digits(["9007199254740992", "1" + "0" * 22, "1e30", "0.1"], PLAIN) is None
    assert lost_digits(["1" * 400], PLAIN) == "1" * 400


@pytest.mark.parametrize(
    ("cell", "style", "what"),
    [
        ("red", PLAIN, "give --categorical 'a b', if it is a category, --drop 'a b', or "),
        ("True", PLAIN, "give --categorical 'a b' to make it 0 and 1, or --drop 'a b'"),
        ("2023-05-01", PLAIN, "make a date or a time numbers first, or give --drop 'a b'"),
        ("12:30", PLAIN, "make a date or a time numbers first"),
        ("3,24", PLAIN, "give --decimal ,"),
        ("1.234,5", PLAIN, "give --decimal , --thousands ."),
        ("1,234", PLAIN, "give --thousands , or --decimal ,"),
        ("1,234.5", PLAIN, "give --thousands ,"),
        ("1,234,567", PLAIN, "give --thousands ,"),
        ("1 234", PLAIN, "give --thousands blank"),
        ("1'234", PLAIN, 'give --thousands "\'"'),
        ("1\u2019234", PLAIN, 'give --thousands "\'"'),
        ("1.234", COMMAS, "give --decimal . or --thousands ."),
        ("1.234.567", PLAIN, "give --decimal , --thousands ."),
        ("1 234,5", PLAIN, "give --decimal , --thousands blank"),
        ("1.5", Style(",", "."), "give --decimal . without --thousands"),
        ("\uff11\uff12", PLAIN, "write it as 12, or give --drop"),
        ("\u2212\u0661.5", PLAIN, "write it as -1.5, or give --drop"),
        ("12%", PLAIN, "write the number alone, give --categorical"),
        ("\u20ac5", PLAIN, "write the number alone, give --categorical"),
        ("5 kg", PLAIN, "write the number alone, give --categorical"),
    ],
)
def test_what_is_advised_of_other_cells(cell: str, style: Style, what: str) -> None:
    assert advice(cell, style, "a b").startswith(what)
    of_target = advice(cell, style, "a b", predicted=True)
    assert "--drop" not in of_target
    assert "--categorical" not in of_target


def test_advice_that_other_cells_contradict_is_not_given() -> None:
    assert advice("1,234", PLAIN, "a", ["0.5"]) == "give --thousands ,"
    assert advice("1,234", PLAIN, "a", ["x"]) == "give --thousands , or --decimal ,"
    mixed = "write all numbers with the same signs; there is also '2.5'"
    assert advice("1,5", PLAIN, "a", ["7", "2.5"]) == mixed
