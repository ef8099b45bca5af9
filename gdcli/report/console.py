"""Where output goes, data to stdout and all else to stderr, and how a run shows its progress.

Off a terminal lines are plain and unbroken. Progress is a live bar on a terminal, and elsewhere
lines where they are needed.
"""

from __future__ import annotations

import io
import sys
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any, TextIO, cast

from gdcli.numbers import compact
from gdcli.process import results
from gdcli.runs.options import Progress, Silent

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console
    from rich.text import Text

PICTURE = 80  # columns of a picture in a file or a pipe
UNBROKEN = 10_000  # columns: wider than any line, so that nothing is wrapped or cut


def console(*, stderr: bool = False, color: bool = True) -> Console:
    """Return a Rich console on stdout or stderr, which prints text as it is, without markup.

    NO_COLOR is honoured, as is `color`, which --no-color sets to False.
    """
    # An error is reported, and a usage error found, without waiting for Rich.
    from rich.console import Console

    terminal = on_terminal(stderr=stderr)
    return Console(
        file=None if stderr else cast("TextIO", _Results()),
        stderr=stderr,
        no_color=None if color else True,
        width=None if terminal else UNBROKEN,
        soft_wrap=not terminal,
        markup=False,
        emoji=False,
        highlight=False,
    )


_NOWHERE = io.StringIO()  # of a process without standard output


class _Results:
    """The stream of the results, wherever that leads when it is written to."""

    def __getattr__(self, name: str) -> Any:
        """Return what the stream has of this name."""
        return getattr(results() or _NOWHERE, name)


def on_terminal(*, stderr: bool = False) -> bool:
    """Return whether stdout or stderr is a terminal; it may be closed, too."""
    stream = sys.stderr if stderr else results()
    return stream is not None and not stream.closed and stream.isatty()


def print_lines(lines: Iterable[str | Text], console: Console) -> None:
    """Print sentences, broken between words to fit a terminal, and rows of `Text` as they are.

    A `Text` that says no_wrap=False is a sentence, too.
    """
    for line in lines:
        sentence = isinstance(line, str) or line.no_wrap is False
        console.print(line, soft_wrap=not (sentence and console.is_terminal))


def picture_width(console: Console) -> int:
    """Return the columns that a picture takes: those of the terminal, or PICTURE off it."""
    return console.width if console.is_terminal else PICTURE


def has_colors(console: Console) -> bool:
    """Return whether a console shows so many colours that a picture can be made of them."""
    return console.color_system in {"256", "truecolor"} and not console.no_color


def literal(text: str) -> str:
    r"""Return text whose control characters are spelt out, as in \x1b, and do nothing."""
    if text.isprintable():  # as nearly all is: most cells of a long table
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


INTERVAL = 0.1  # seconds between two pictures
WIDE = 100  # columns from which on there is room for the rate, too
NUMBERS = 52  # columns of the numbers beside the names


def progress_bar(*, quiet: bool = False, color: bool = True) -> Progress:
    """Return a live bar on stderr, or, when quiet or off a terminal, what shows lines alone."""
    screen = console(stderr=True, color=color)
    if quiet or not on_terminal(stderr=True) or screen.is_dumb_terminal:
        return Lines(screen, quiet=quiet)
    return Bar(screen)


class Lines(Silent):
    """Prints what went wrong and, unless quiet, what the run does, a line each."""

    def __init__(self, screen: Console, *, quiet: bool) -> None:
        """Print on a console."""
        self._screen, self._quiet = screen, quiet

    def note(self, line: str) -> None:
        """Print what the run does."""
        if not self._quiet:
            self.warn(line)

    def warn(self, line: str) -> None:
        """Print what went wrong."""
        with suppress(OSError):  # nobody may listen any more
            print_lines([literal(line)], self._screen)


class Bar:
    """Shows the trials at work and their lowest loss, the trial-steps done, and the time left.

    Its methods are called thousands of times a second, and it draws ten times.
    """

    def __init__(self, screen: Console) -> None:
        """Draw on a console."""
        # Rich's progress takes 50 ms to import: only a run that shows it waits for it.
        from rich import progress as rich
        from rich.table import Column

        # Names are cut rather than numbers.
        names = Column(no_wrap=True, max_width=max(8, screen.width - NUMBERS))
        whole = Column(no_wrap=True)
        self._progress = rich.Progress(
            rich.TextColumn("{task.description}", markup=False, table_column=names),
            rich.TextColumn("{task.fields[loss]}", markup=False, table_column=whole),
            rich.BarColumn(bar_width=None),
            rich.TextColumn("{task.fields[steps]}", markup=False, table_column=whole),
            rich.TimeElapsedColumn(),
            rich.TimeRemainingColumn(),
            console=screen,
            refresh_per_second=1,  # the clock goes on; more would take turns with the arithmetic
            transient=True,
            expand=True,
        )
        self._wide = screen.width >= WIDE
        self._task = self._progress.add_task("", start=False, total=None, loss="", steps="")
        self._label = ""
        self._loss: float | None = None
        self._waiting = 0  # trial-steps done since the last picture
        self._next = 0.0

    def start(self, total: int) -> None:
        """Begin: `total` trial-steps are to be done."""
        self._progress.update(self._task, total=total)
        self._progress.start_task(self._task)
        self._progress.start()

    def advance(self, label: str, steps: int, loss: float | None = None) -> None:
        """Add trial-steps done, of trials named `label`, and, now and then, their lowest loss."""
        if label != self._label:
            self._label, self._loss = label, None
        self._loss = self._loss if loss is None else loss
        self._waiting += steps
        if monotonic() >= self._next:
            self._draw()

    def note(self, line: str) -> None:
        """Print what the run does above the bar."""
        print_lines([literal(line)], self._progress.console)

    def warn(self, line: str) -> None:
        """Print what went wrong above the bar."""
        self.note(line)

    def stop(self) -> None:
        """Take the bar from the screen, whether the work is done or not."""
        self._draw()
        self._progress.stop()

    def _draw(self) -> None:
        self._progress.advance(self._task, self._waiting)
        loss = "" if self._loss is None else f"loss {self._loss:.3g}"
        self._progress.update(
            self._task, description=literal(self._label), loss=loss, steps=self._steps()
        )
        self._progress.refresh()
        self._waiting = 0
        self._next = monotonic() + INTERVAL

    def _steps(self) -> str:
        """Return the trial-steps done, of how many, and, where there is room, how many a second."""
        (task,) = self._progress.tasks
        rate = f" {compact(task.speed)}/s" if task.speed and self._wide else ""
        return f"{compact(task.completed)}/{compact(task.total or 0)} steps{rate}"
