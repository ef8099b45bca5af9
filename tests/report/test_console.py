"""Where output goes, and that text is printed as it is."""

from __future__ import annotations

import io
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.text import Text

from gdcli.report.console import console, literal, on_terminal, print_lines


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "40")


def printed(monkeypatch: pytest.MonkeyPatch, stream: io.StringIO, *, color: bool = True) -> str:
    monkeypatch.setattr(sys, "stdout", stream)
    console(color=color).print("[bold]x " + 30 * "word ", style="red")
    return stream.getvalue()


def test_off_a_terminal_lines_are_plain_and_unbroken(monkeypatch: pytest.MonkeyPatch) -> None:
    assert printed(monkeypatch, io.StringIO()).rstrip() == "[bold]x " + ("word " * 30).rstrip()


def test_on_a_terminal_lines_are_coloured_and_wrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    text = printed(monkeypatch, Terminal())
    assert "\x1b[31m[bold]x" in text
    assert text.count("\n") > 3


def test_colour_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b[31m" not in printed(monkeypatch, Terminal(), color=False)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[31m" not in printed(monkeypatch, Terminal())


def test_what_is_not_a_result_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    console(stderr=True).print("x")
    assert capsys.readouterr() == ("", "x\n")


def test_a_closed_stream_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    assert on_terminal(stderr=True)
    stream.close()
    assert not on_terminal(stderr=True)
    monkeypatch.setattr(sys, "stdout", None)
    assert not on_terminal()
    console().print("x")


@given(st.text())
def test_literal_text_can_do_nothing(text: str) -> None:
    assert literal(text).isprintable()
    assert literal(literal(text)) == literal(text)


def test_control_characters_are_spelt_out() -> None:
    assert literal("a\x1b[1m\n\tb\u202e é") == r"a\x1b[1m\n\tb\u202e é"


@pytest.mark.parametrize("width", [40, 80, 120])
def test_sentences_break_between_words_and_rows_not_at_all(width: int) -> None:
    words = ["0.992658", "measured,", "experiments", "1.328e-05"] * 8
    row = Text("x" * (width + 5))
    file = io.StringIO()
    screen = Console(file=file, force_terminal=True, width=width, highlight=False)
    print_lines([" ".join(words), row], screen)
    *lines, last = file.getvalue().splitlines()
    assert " ".join(lines).split() == words
    assert max(map(len, lines)) <= width
    assert last == row.plain
