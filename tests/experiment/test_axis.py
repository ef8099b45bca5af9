"""Axes: exact values, and what is refused."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any

import pytest
from annotated_types import Ge, Gt
from hypothesis import given
from hypothesis import strategies as st

from gdcli.errors import UserError
from gdcli.experiment.axis import expand, one, text, texts
from gdcli.fields import AXIS, options_of, split, written
from gdcli.optimizers.muon import Muon


@dataclass(frozen=True)
class Axes:
    """Axes of every kind."""

    lr: Annotated[tuple[float, ...], AXIS, "learning rates", Gt(0)] = (0.1,)
    shift: Annotated[tuple[float, ...], AXIS, "any numbers"] = (0.0,)
    seed: Annotated[tuple[int, ...], AXIS, "seeds", Ge(0)] = (0,)
    word: Annotated[tuple[str, ...], AXIS, "words"] = ("a",)
    widths: Annotated[tuple[int, ...], "no axis, but can be varied", Ge(1)] = (64,)
    flag: Annotated[bool, "no axis, but can be varied"] = False


OPTIONS = options_of(Axes)


def values(name: str, raw: object) -> tuple[Any, ...]:
    return expand(raw, OPTIONS[name], f"--{name}")


@pytest.mark.parametrize(
    ("name", "raw", "expected"),
    [
        ("lr", "0.1,0.01", (0.1, 0.01)),
        ("lr", " 0.1 , 1e-2 ", (0.1, 0.01)),
        ("lr", "log:1e-4:1:5", (1e-4, 1e-3, 1e-2, 1e-1, 1.0)),
        ("lr", "log:1:1e-4:5", (1.0, 1e-1, 1e-2, 1e-3, 1e-4)),
        ("lr", "log:1e-4:1:2,3", (1e-4, 1.0, 3.0)),
        ("shift", "lin:0:1:11", tuple(i / 10 for i in range(11))),
        ("shift", "lin:1:-1:3", (1.0, 0.0, -1.0)),
        ("lr", "0.1:0.5:0.1", (0.1, 0.2, 0.3, 0.4, 0.5)),
        ("shift", "0.5:-0.5:-0.5", (0.5, 0.0, -0.5)),
        ("shift", "-1,-.5,+2.", (-1.0, -0.5, 2.0)),
        ("seed", "0:4", (0, 1, 2, 3, 4)),
        ("seed", "7,0:2", (7, 0, 1, 2)),
        ("seed", "0:8:2", (0, 2, 4, 6, 8)),
        ("seed", "log:8:128:5", (8, 16, 32, 64, 128)),
        ("seed", [3, "0:1"], (3, 0, 1)),
        ("seed", 5, (5,)),
        ("lr", [1, 0.5], (1.0, 0.5)),
        ("word", "a,b:c", ("a", "b:c")),
        ("widths", "64x32,128", ((64, 32), (128,))),
        ("widths", [[64, 32], [128]], ((64, 32), (128,))),
        ("widths", '"64,32",128', ((64, 32), (128,))),
        ("flag", "true,false", (True, False)),
        ("word", "max(x, y),x*y", ("max(x, y)", "x*y")),
        ("word", "f([a, b], g(c,d)),e", ("f([a, b], g(c,d))", "e")),
        ("word", """ "a,b" ,'c,d'""", ("a,b", "c,d")),
        ("word", "\"(,\",'it''s,'", ("(,", "it's,")),
        ("word", '"a""b"', ('a"b',)),
        ("word", "don't,won't", ("don't", "won't")),
        ("word", 'say "a,b"', ('say "a', 'b"')),  # a quote inside a value is a character
        ("word", "a(b", ("a(b",)),  # nothing is separated, so nothing is unclear
        ("word", '"a', ('"a',)),
        ("word", " a, b", (" a", " b")),
        ("word", ["a,b", "(,"], ("a,b", "(,")),  # TOML has its own quotes
    ],
)
def test_an_axis_has_these_values(name: str, raw: object, expected: tuple[Any, ...]) -> None:
    assert values(name, raw) == expected


@pytest.mark.parametrize(
    ("name", "raw", "said"),
    [
        ("lr", "", "empty item"),
        ("lr", "0.1,,0.2", "empty item"),
        ("lr", "0.1,", "empty item"),
        ("lr", [], "list is empty"),
        ("lr", "0.1,0.10", "0.1 is given twice"),
        ("lr", "lin:1:2:3,1.5", "1.5 is given twice"),
        ("seed", [1, 1], "1 is given twice"),
        ("lr", "abc", "'abc' is not a number"),
        ("lr", "nan", "'nan' is not a number"),
        ("lr", "inf", "'inf' is not a number"),
        ("lr", [math.nan], "nan is not a number"),
        ("lr", [True], "true is not a number"),
        ("lr", "0", "0.0 is not more than 0"),
        ("lr", "-1", "-1.0 is not more than 0"),
        ("lr", "1e999", "1e999 is too large"),
        ("lr", "1e99999999999999999999", "is too large"),
        ("lr", "1e-999", "1e-999 rounds to zero"),
        ("lr", "0.5e-99999999999999999999", "rounds to zero"),
        ("shift", "log:1e-999:1:3", "rounds to zero"),
        ("lr", "0:1", "is not a range"),
        ("lr", "log:1:2", "is not a range"),
        ("lr", "lin:a:2:3", "is not a range"),
        ("lr", "geo:1:2:3", "is not a range"),
        ("lr", "log:0:1:3", "both ends above 0"),
        ("lr", "log:-1:1:3", "both ends above 0"),
        ("lr", "lin:1:2:1", "cannot be a number of values"),
        ("lr", "lin:1:2:2.5", "cannot be a number of values"),
        ("lr", "0.1:0.5:0.3", "do not reach 0.5"),
        ("lr", "0.1:0.5:-0.1", "do not reach 0.5"),
        ("lr", "0.1:0.5:0", "do not reach 0.5"),
        ("lr", "log:1e-999999:1e999999:3", "cannot be computed"),
        ("seed", "0:100000", "has 100001 values"),
        ("seed", "0:1e30", "values"),
        ("seed", "1.5", "not an integer"),
        ("seed", "0.5:1.5", "0.5 is not an integer"),
        ("seed", "log:1:10:3", "is not an integer"),
        ("seed", "-1", "-1 is less than 0"),
        ("seed", "9" * 5000, "is not an integer"),
        ("seed", [1.0], "1.0 is not an integer"),
        ("word", [3], "3 is not text"),
        ("word", "max(x,y", "the '(' in 'max(x,y' is never closed"),
        ("word", "a,max(x,y)),b", "the ')' in 'max(x,y)),b' is never opened"),
        ("word", "(a,b],c", "the ']' in '(a,b],c' is never opened"),
        ("word", "a,'b,c", '"\'b,c" begins with a quote'),
        ("word", '"a"b,c', "begins with a quote, but no value ends with it"),
        ("word", "(a,b),(a,b)", "'(a,b)' is given twice"),
        ("word", "(a,b),", "empty item"),
        ("lr", "(0.1,0.2)", "'(0.1,0.2)' is not a number"),
    ],
)
def test_an_axis_refuses(name: str, raw: object, said: str) -> None:
    with pytest.raises(UserError) as caught:
        values(name, raw)
    assert caught.value.where == f"--{name}"
    assert said in caught.value.what
    assert caught.value.fix
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("raw", ["1e999", "1e-999", "nan"])
def test_a_value_that_is_no_axis_is_refused_alike(raw: str) -> None:
    with pytest.raises(UserError):
        one(raw, options_of(Numbers)["value"], "--value")


@dataclass(frozen=True)
class Numbers:
    """A number."""

    value: Annotated[float, "a number"] = 0.0


numbers = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(numbers, min_size=1, unique=True))
def test_the_text_of_numbers_is_read_back_exactly(given_numbers: list[float]) -> None:
    found = tuple(dict.fromkeys(value + 0.0 for value in given_numbers))
    assert values("shift", texts(found)) == found


@given(st.lists(st.lists(st.integers(1, 99), min_size=1).map(tuple), min_size=1, unique=True))
def test_the_text_of_tuples_is_read_back_exactly(widths: list[tuple[int, ...]]) -> None:
    assert values("widths", texts(tuple(widths))) == tuple(widths)


marked = st.text(st.sampled_from("ab ,:()[]'\"\n"), min_size=1).filter(str.strip)


@given(st.lists(marked | st.text(min_size=1).filter(str.strip), min_size=1, unique=True))
def test_the_text_of_words_is_read_back_exactly(words: list[str]) -> None:
    assert values("word", texts(tuple(words))) == tuple(words)


@given(st.lists(st.text(st.characters(exclude_characters=",()[]\"'")), min_size=1))
def test_words_without_brackets_and_quotes_are_what_stands_between_commas(words: list[str]) -> None:
    assert split(",".join(words), "--word") == words
    assert ",".join(map(written, words)) == ",".join(words)


def test_words_with_their_brackets_closed_need_no_quotes() -> None:
    assert texts(("max(x, y)", "a,b", "a(b", "it's")) == 'max(x, y),"a,b","a(b",it\'s'


@given(st.integers(-300, 300), st.integers(-300, 300), st.integers(2, 40))
def test_a_logarithmic_range_of_whole_powers_is_exact(a: int, step: int, count: int) -> None:
    step = max(-6, min(6, step)) or 1
    exponents = [a + i * step for i in range(count) if -300 <= a + i * step <= 300]
    if len(exponents) > 1:
        range_ = f"log:1e{exponents[0]}:1e{exponents[-1]}:{len(exponents)}"
        assert values("lr", range_) == tuple(float(f"1e{e}") for e in exponents)


@given(
    st.decimals(-1000, 1000, places=3),
    st.decimals(Decimal("0.001"), 10, places=3),
    st.integers(1, 50),
)
def test_a_range_by_steps_has_both_ends(start: Decimal, step: Decimal, count: int) -> None:
    found = values("shift", f"{start}:{start + count * step}:{step}")
    assert found == tuple(float(start + i * step) for i in range(count + 1))


def test_the_text_of_a_value_is_as_it_is_typed() -> None:
    typed = {True: "true", (64, 32): "64x32", 0.1: "0.1", 1e-9: "1e-09", "cosine": "cosine"}
    assert {value: text(value) for value in typed} == typed


@pytest.mark.parametrize("text", ["(2,-1.5,0.5)", "[2, -1.5, 0.5]", "2x-1.5x0.5", '"2,-1.5,0.5"'])
def test_a_value_of_several_numbers_is_written_in_brackets_or_with_x(text: str) -> None:
    option = options_of(Muon)["coefficients"]
    assert expand(text, option, "--vary muon.coefficients") == ((2.0, -1.5, 0.5),)


@pytest.mark.parametrize("text", ["1,2,3", "(1,2)", "1,2"])
def test_several_numbers_that_are_too_few_are_told_the_form(text: str) -> None:
    with pytest.raises(UserError, match="is not 3 values; give 3 values, as in 1x2x3"):
        expand(text, options_of(Muon)["coefficients"], "--vary muon.coefficients")
