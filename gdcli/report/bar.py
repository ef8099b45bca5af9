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
UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


class Bar:
    """Shows the cohort, the trial-steps done, their rate and the time that is left.

    It is told of work thousands of times a second, and draws ten times.
    """

    def __init__(self, screen: Console) -> None:
        """Draw on a console."""
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            _Steps(Column(no_wrap=True)),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=screen,
            auto_refresh=False,  # a thread that draws would take turns with the arithmetic
            transient=True,
            expand=True,
        )
        self._task = self._progress.add_task("", start=False, total=None)
        self._label = ""
        self._waiting = 0  # trial-steps done since the last picture
        self._next = 0.0

    def start(self, total: int) -> None:
        """Begin: `total` trial-steps are to be done."""
        self._progress.update(self._task, total=total)
        self._progress.start_task(self._task)
        self._progress.start()

    def advance(self, label: str, steps: int) -> None:
        """Add trial-steps done, of the cohort named `label`."""
        self._label = label
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
        description, done = literal(self._label), self._waiting
        self._progress.update(self._task, description=description, advance=done, refresh=True)
        self._waiting = 0
        self._next = monotonic() + INTERVAL


class _Steps(ProgressColumn):
    """Trial-steps done, of how many, and how many a second."""

    def render(self, task: Task) -> Text:
        """Return the column's text."""
        rate = f" {short(task.speed)}/s" if task.speed else ""
        return Text(f"{short(task.completed)}/{short(task.total or 0)} steps{rate}")


def short(number: float) -> str:
    """Return a number in three digits: 1.25M."""
    for size, letter in UNITS:
        if number >= size:
            return f"{number / size:.3g}{letter}"
    return f"{number:.0f}"
