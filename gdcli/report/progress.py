"""What a run shows of its progress: a live bar on a terminal, elsewhere lines where needed."""

from __future__ import annotations

from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING

from gdcli.numbers import compact
from gdcli.report.console import console, literal, on_terminal, print_lines
from gdcli.runs.progress import Progress, Silent

if TYPE_CHECKING:
    from rich.console import Console

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
