"""Options: what a field says of itself, and how text and TOML values are read."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from annotated_types import Ge, Gt, Le, Lt
from hypothesis import given
from hypothesis import strategies as st

from gdcli.errors import UserError
from gdcli.fields import (
    AXIS,
    LATER,
    LONGEST,
    MOST_SAID,
    NUMBER,
    WHOLE,
    listed,
    meant,
    options_of,
    said,
    settings_of,
    show,
    suggestion,
)


@dataclass(frozen=True)
class Example:
    """Fields of every kind."""

    whole: Annotated[int, "a whole number", Ge(1), Le(9)] = 3
    share: Annotated[float, "a share", Ge(0), Lt(1)] = 0.5
    rate: Annotated[float | None, "a rate", Gt(0)] = None
    label: Annotated[str, "a text"] = "x"
    flag: Annotated[bool, "a flag"] = False
    file: Annotated[Path | None, "a file"] = None
    color: Annotated[Literal["red", "green"], "a colour"] = "red"
    point: Annotated[tuple[float, float], "two numbers"] = (1.0, 1.0)
    layer_widths: Annotated[tuple[int, ...], "some numbers", Ge(1)] = (64,)
    method: Annotated[tuple[Literal["gd", "sgd"], ...], AXIS, "an axis"] = ("gd",)


OPTIONS = options_of(Example)


@dataclass(frozen=True)
class Grown:
    """A dataclass that has been given a field since it was first run."""

    old: Annotated[int, "an old field"] = 1
    new: Annotated[int | None, LATER, "a new field"] = None


def test_a_later_field_names_a_trial_only_where_it_says_something() -> None:
    assert settings_of(Grown(old=2)) == {"old": 2}
    assert settings_of(Grown(new=0)) == {"old": 1, "new": 0}
    assert options_of(Grown)["new"].summary == "a new field"


def test_the_options_are_the_fields_in_order() -> None:
    assert list(OPTIONS) == [
        *("whole", "share", "rate", "label", "flag", "file", "color", "point"),
        *("layer-widths", "method"),
    ]


def test_an_option_knows_its_field() -> None:
    widths = OPTIONS["layer-widths"]
    assert (widths.field, widths.kind, widths.many, widths.size) == (
        "layer_widths",
        int,
        True,
        None,
    )
    assert (widths.summary, widths.default, widths.axis) == ("some numbers", (64,), False)
    assert (OPTIONS["rate"].optional, OPTIONS["rate"].kind) == (True, float)
    assert OPTIONS["point"].size == 2
    assert (OPTIONS["color"].kind, OPTIONS["color"].choices) == (str, ("red", "green"))
    assert (OPTIONS["method"].axis, OPTIONS["method"].summary) == (True, "an axis")


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("whole", "an integer of at least 1 and at most 9"),
        ("share", "a number of at least 0 and less than 1"),
        ("rate", "a number of more than 0"),
        ("label", "text"),
        ("flag", "true or false"),
        ("file", "a path"),
        ("color", "one of red, green"),
    ],
)
def test_what_is_wanted_is_said_in_words(name: str, wanted: str) -> None:
    assert OPTIONS[name].wanted == wanted


@pytest.mark.parametrize(
    ("name", "raw", "value"),
    [
        ("whole", "3", 3),
        ("whole", " +3 ", 3),
        ("whole", 4, 4),
        ("share", "5e-1", 0.5),
        ("share", 0, 0.0),
        ("rate", None, None),
        ("label", "3", "3"),
        ("flag", "TRUE", True),
        ("flag", False, False),
        ("file", "a b.csv", Path("a b.csv")),
        ("color", "green", "green"),
        ("point", "1,-2.5", (1.0, -2.5)),
        ("point", [1, 2], (1.0, 2.0)),
        ("layer-widths", "64x32", (64, 32)),
        ("layer-widths", "64,32", (64, 32)),
        ("method", "gd,sgd", ("gd", "sgd")),
    ],
)
def test_a_value_is_read(name: str, raw: object, value: Any) -> None:
    found = OPTIONS[name].read(raw, "--x")
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("name", "raw", "said"),
    [
        ("whole", "3.0", "'3.0' is not an integer"),
        ("whole", 3.0, "3.0 is not an integer"),
        ("whole", True, "true is not an integer"),
        ("whole", "0", "0 is less than 1"),
        ("whole", "10", "10 is more than 9"),
        ("whole", None, "None is not an integer"),
        ("share", "1", "1.0 is not less than 1"),
        ("share", "0x1p3", "is not a number"),
        ("share", "1_000", "is not a number"),
        ("share", math.inf, "inf is not a number"),
        ("share", 10**400, "is not a number"),
        ("share", "9" * 400, "is not a number"),
        ("rate", "0", "0.0 is not more than 0"),
        ("label", 3, "3 is not text"),
        ("flag", "yes", "'yes' is not true or false"),
        ("flag", 1, "1 is not true or false"),
        ("file", "", "'' is not a path"),
        ("file", 3, "3 is not a path"),
        ("color", "gren", "'gren' is not one of red, green"),
        ("point", "1", "'1' is not 2 values"),
        ("point", [1, 2, 3], "[1, 2, 3] is not 2 values"),
        ("point", 3, "3 is not a list"),
        ("layer-widths", "64x0", "0 is less than 1"),
    ],
)
def test_a_bad_value_is_refused(name: str, raw: object, said: str) -> None:
    with pytest.raises(UserError) as caught:
        OPTIONS[name].read(raw, "--x")
    assert caught.value.where == "--x"
    assert said in caught.value.what
    assert caught.value.fix


def test_a_misspelt_choice_has_a_suggestion() -> None:
    with pytest.raises(UserError, match="did you mean 'green'"):
        OPTIONS["color"].read("gren", "--color")


@given(st.text())
def test_no_text_breaks_an_option(text: str) -> None:
    for option in OPTIONS.values():
        with contextlib.suppress(UserError):
            option.read(text, "--x")


@given(st.text())
def test_a_value_is_quoted_on_one_printable_line(text: str) -> None:
    assert show(text).isprintable()
    assert len(show(text)) <= LONGEST + 3


def test_a_suggestion_is_close_or_absent() -> None:
    assert suggestion("momentm", ["adam", "momentum"]) == "did you mean 'momentum'?"
    assert suggestion("batch_size", ["batch-size"]) == "did you mean 'batch-size'?"
    assert not suggestion("xyz", ["adam", "momentum"])


class Mute(Exception):  # noqa: N818 -- of a user's own, and odd
    """What says nothing, not even when it is asked."""

    def __str__(self) -> str:
        raise ValueError("no text")


def test_what_an_exception_says_is_never_long_and_never_raises() -> None:
    assert said(ValueError("a\nb")) == "ValueError: a\nb"
    assert said(MemoryError()) == "MemoryError"
    assert said(Mute()) == "Mute"
    long = said(ValueError("a" * 200_000 + "z"))
    assert len(long) == MOST_SAID + len("ValueError: ")
    assert long.endswith("z")


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
