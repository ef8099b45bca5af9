"""What a run shows of its progress: a live bar on a terminal, elsewhere lines where needed."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from gdcli.report.console import console, literal, on_terminal, print_lines
from gdcli.runs.progress import Progress, Silent

if TYPE_CHECKING:
    from rich.console import Console


def progress_bar(*, quiet: bool = False, color: bool = True) -> Progress:
    """Return a live bar on stderr, or, when quiet or off a terminal, what shows lines alone."""
    screen = console(stderr=True, color=color)
    if quiet or not on_terminal(stderr=True) or screen.is_dumb_terminal:
        return Lines(screen, quiet=quiet)
    # Rich's progress takes 50 ms to import: only a run that shows it waits for it.
    from gdcli.report.bar import Bar

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
