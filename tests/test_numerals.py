"""Which number is meant by a text that is none."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdcli.fields import NUMBER, WHOLE, listed, meant


@pytest.mark.parametrize(
    ("text", "count", "number"),
    [
        ("0,1", (), ("0.1",)),
        ("1,000", ("1000",), ("1000", "1")),
        ("1,234,567", ("1234567",), ("1234567",)),
        ("1 000", ("1000",), ("1000",)),
        ("1\u202f000", ("1000",), ("1000",)),
        ("1_000", ("1000",), ("1000",)),
        ("1'000'000", ("1000000",), ("1e+06",)),
        ("1.000,5", (), ("1000.5",)),
        ("1.000", ("1", "1000"), ("1",)),
        ("\uff11\uff10", ("10",), ("10",)),
        ("\u0663", ("3",), ("3",)),
        ("10^3", ("1000",), ("1000",)),
        ("10**-3", (), ("0.001",)),
        ("10\u00b2", ("100",), ("100",)),
        ("5*10^-3", (), ("0.005",)),
        ("1e3", ("1000",), ("1000",)),
        ("1d-3", (), ("0.001",)),
        ("10%", (), ("0.1",)),
        ("1/8", (), ("0.125",)),
        ("\u00bd", (), ("0.5",)),
        ("2k", ("2000",), ("2000",)),
        ("0x10", ("16",), ("16",)),
        ("\u22125", ("-5",), ("-5",)),
        ("1,2,3", (), ()),
        ("1e999", (), ()),
        ("10^999999999", (), ()),
        ("1/0", (), ()),
        ("ten", (), ()),
        ("", (), ()),
    ],
)
def test_a_number_in_another_writing_is_known(
    text: str, count: tuple[str, ...], number: tuple[str, ...]
) -> None:
    assert meant(text, int) == count
    assert meant(text, float) == number


def test_a_float_of_a_file_may_be_a_count() -> None:
    assert meant(1e3, int) == ("1000",)
    assert meant(2.5, int) == ()


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        ("0,1;0,2", float, "0.1,0.2"),
        ("0.1 0.2", float, "0.1,0.2"),
        ("[1, 2]", int, "1,2"),
        ("0-4", int, "0:4"),
        ("0..4", int, "0:4"),
        ("a b", float, ""),
    ],
)
def test_a_list_in_another_writing_is_known(text: str, kind: type, said: str) -> None:
    assert listed(text, kind) == said


@given(st.text("0123456789.,eE+-_^*/%xkM '\u202f\uff11\u00b2", max_size=12))
def test_what_is_proposed_is_a_number(text: str) -> None:
    for found in meant(text, float):
        assert NUMBER.fullmatch(found)
        assert math.isfinite(float(found))
    for found in meant(text, int):
        assert WHOLE.fullmatch(found)
