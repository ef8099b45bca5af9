"""What a run shows of its progress: a live bar on a terminal, nothing elsewhere."""

from __future__ import annotations

from gdcli.report.console import console, on_terminal
from gdcli.runs.progress import Progress, Silent


def progress_bar(*, quiet: bool = False, color: bool = True) -> Progress:
    """Return a live bar on stderr, or, when quiet or off a terminal, what shows nothing."""
    if quiet or not on_terminal(stderr=True):
        return Silent()
    screen = console(stderr=True, color=color)
    if screen.is_dumb_terminal:
        return Silent()
    # Rich's progress takes 50 ms to import: only a run that shows it waits for it.
    from gdcli.report.bar import Bar

    return Bar(screen)
