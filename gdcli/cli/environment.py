"""The process: threads, streams that are closed, and signals."""

from __future__ import annotations

import io
import os
import select
import sys

from gdcli.engine.environment import SETTINGS
from gdcli.runs.interruption import listen


def settle() -> None:
    """Prepare the process, before anything heavy is imported."""
    os.environ.update(SETTINGS)
    listen()
    for descriptor in (0, 1, 2):
        _reopen(descriptor)
    if sys.__stdout__ is None:
        sys.stdout = os.fdopen(1, "w")
    if sys.__stderr__ is None:
        sys.stderr = os.fdopen(2, "w")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # What the terminal's encoding lacks is spelt out; it is no reason to fail.
            stream.reconfigure(errors="backslashreplace")


def _reopen(descriptor: int) -> None:
    """Give a closed standard stream a place to go, lest a file of ours takes its number."""
    try:
        os.fstat(descriptor)
    except OSError:
        os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one


def reader_gone() -> bool:
    """Return whether stdout or stderr is a pipe that nobody reads any more."""
    poll = select.poll()
    for descriptor in (1, 2):
        poll.register(descriptor, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def abandon_output() -> None:
    """Send what is still to be written nowhere: Python would complain of it at the exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(nowhere, descriptor)
