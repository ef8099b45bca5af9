"""The progress bar: on a terminal only, and out of the way of speed."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from gdcli.numbers import compact
from gdcli.report import console as live
from gdcli.report.console import Bar, Lines, progress_bar

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    now = [100.0]
    monkeypatch.setattr(live, "monotonic", lambda: now[0])
    return iter([now])


def bar_on(file: io.StringIO) -> Bar:
    return Bar(Console(file=file, force_terminal=True, width=100, highlight=False))


@pytest.mark.parametrize(
    ("quiet", "printed"), [(False, "waiting\nfailed \\x1b[1m\n"), (True, "failed \\x1b[1m\n")]
)
def test_off_a_terminal_only_lines_are_shown(
    capsys: pytest.CaptureFixture[str], *, quiet: bool, printed: str
) -> None:
    bar = progress_bar(quiet=quiet)
    assert isinstance(bar, Lines)
    bar.start(10)
    bar.advance("gd vanilla", 10)
    bar.note("waiting")
    bar.warn("failed \x1b[1m")
    bar.stop()
    assert capsys.readouterr() == ("", printed)


def test_a_bar_lets_lines_stand_above_it() -> None:
    file = io.StringIO()
    bar = bar_on(file)
    bar.start(10)
    bar.note("waiting")
    bar.warn("failed \x1b[1m")
    bar.stop()
    assert "waiting" in file.getvalue()
    assert r"failed \x1b[1m" in file.getvalue()


@pytest.mark.parametrize(("quiet", "term", "kind"), [(False, "xterm", Bar), (True, "xterm", Lines)])
def test_on_a_terminal_a_bar_is_shown_unless_quiet(
    monkeypatch: pytest.MonkeyPatch, *, quiet: bool, term: str, kind: type
) -> None:
    monkeypatch.setenv("TERM", term)
    monkeypatch.setattr("gdcli.report.console.on_terminal", lambda *, stderr: stderr)
    assert isinstance(progress_bar(quiet=quiet), kind)


def test_the_bar_says_what_is_done(clock: Iterator[list[float]]) -> None:
    file, now = io.StringIO(), next(clock)
    bar = bar_on(file)
    bar.start(2_000_000)
    bar.advance("gd [bold]\x1b[31mvanilla", 500_000)
    now[0] += 1
    bar.advance("sgd adam", 500_000)
    bar.stop()
    text = file.getvalue()
    assert r"gd [bold]\x1b[31mvanilla" in text
    assert "500k/2M steps" in text
    assert "1M/2M steps" in text


def test_the_bar_is_drawn_ten_times_a_second_at_most(clock: Iterator[list[float]]) -> None:
    file, now = io.StringIO(), next(clock)
    bar = bar_on(file)
    bar.start(10_000)
    bar.advance("gd", 1)
    drawn = len(file.getvalue())
    for _ in range(1000):
        bar.advance("gd", 1)
    assert len(file.getvalue()) == drawn
    now[0] += live.INTERVAL
    bar.advance("gd", 1)
    assert "1k/10k steps" in file.getvalue()[drawn:]
    bar.stop()


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_bar_names_the_trials_and_their_loss_and_cuts_no_number(
    clock: Iterator[list[float]], width: int
) -> None:
    file, now = io.StringIO(), next(clock)
    bar = Bar(Console(file=file, force_terminal=True, width=width, highlight=False))
    bar.start(122_000)
    bar.advance("cnn minibatch 32 vanilla-with-a-very-long-name", 0, 2.302)
    now[0] += 1
    bar.advance("cnn minibatch 32 vanilla-with-a-very-long-name", 58_700, 0.001617)
    begun, *_, last = (text for text in file.getvalue().split("\r") if "cnn" in text)
    assert "loss 2.3" in begun
    assert "loss 0.00162" in last
    assert "58.7k/122k steps" in last
    assert last.count(":") == 4
    now[0] += 1
    bar.advance("cnn gd", 1)
    bar.stop()
    assert "loss" not in file.getvalue().split("\r")[-1]


def test_a_bar_can_be_stopped_at_any_time() -> None:
    file = io.StringIO()
    bar = bar_on(file)
    bar.stop()
    bar.start(1)
    bar.stop()
    bar.stop()


def test_numbers_are_compact() -> None:
    numbers = {
        0: "0",
        999: "999",
        1000: "1k",
        12_345: "12.3k",
        2e6: "2M",
        3.5e9: "3.5G",
        1e12: "1T",
    }
    assert {number: compact(number) for number in numbers} == numbers
