"""A live progress bar on stderr, for a terminal only."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

from gdcli.report.console import literal, print_lines

if TYPE_CHECKING:
    from rich.console import Console

INTERVAL = 0.1  # seconds between two pictures
WIDE = 100  # columns from which on there is room for the rate, too
NUMBERS = 52  # columns of the numbers beside the names
UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


class Bar:
    """Shows the trials at work and their lowest loss, the trial-steps done, and the time left.

    It is told of work thousands of times a second, and draws ten times.
    """

    def __init__(self, screen: Console) -> None:
        """Draw on a console."""
        # Names are cut rather than numbers.
        names = Column(no_wrap=True, max_width=max(8, screen.width - NUMBERS))
        self._progress = Progress(
            TextColumn("{task.description}", markup=False, table_column=names),
            _Loss(Column(no_wrap=True)),
            BarColumn(bar_width=None),
            _Steps(rate=screen.width >= WIDE),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=screen,
            refresh_per_second=1,  # the clock goes on; more would take turns with the arithmetic
            transient=True,
            expand=True,
        )
        self._task = self._progress.add_task("", start=False, total=None, loss=None)
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
            self._progress.update(self._task, description=literal(label), loss=None)
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
        done, loss = self._waiting, self._loss
        self._progress.update(self._task, loss=loss, advance=done, refresh=True)
        self._waiting = 0
        self._next = monotonic() + INTERVAL


class _Loss(ProgressColumn):
    """The lowest loss among the trials that are trained, where it is known."""

    def render(self, task: Task) -> Text:
        """Return the column's text."""
        loss = task.fields["loss"]
        return Text("" if loss is None else f"loss {loss:.3g}")


class _Steps(ProgressColumn):
    """Trial-steps done, of how many, and, where there is room, how many a second."""

    def __init__(self, *, rate: bool) -> None:
        super().__init__(Column(no_wrap=True))
        self._rate = rate

    def render(self, task: Task) -> Text:
        """Return the column's text."""
        rate = f" {short(task.speed)}/s" if task.speed and self._rate else ""
        return Text(f"{short(task.completed)}/{short(task.total or 0)} steps{rate}")


def short(number: float) -> str:
    """Return a number in three digits: 1.25M."""
    for size, letter in UNITS:
        if number >= size:
            return f"{number / size:.3g}{letter}"
    return f"{number:.0f}"
