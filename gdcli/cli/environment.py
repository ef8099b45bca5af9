"""The process: threads, streams that are closed, and signals."""

from __future__ import annotations

import io
import os
import select
import sys
from importlib.abc import MetaPathFinder
from pathlib import Path

from gdcli.engine.environment import SETTINGS
from gdcli.errors import RunError
from gdcli.runs.interruption import listen

# Bytes of address space that loading a library takes, as measured, and a tenth more.
NEEDED = {"numpy": 90 * 2**20, "pandas": 340 * 2**20, "torch": 700 * 2**20}


def settle() -> None:
    """Prepare the process, before anything heavy is imported."""
    os.environ.update(SETTINGS)
    listen()
    _watch_room()
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


class _Room(MetaPathFinder):
    """Lets libraries be loaded where a limit of the address space leaves room for them.

    Without room they end the process, with a line of their own or none.
    """

    def __init__(self, limit: int) -> None:
        """Take the limit, in bytes."""
        self.limit = limit

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        """Find nothing; raises RunError where there is no room."""
        need = NEEDED.get(fullname, 0)
        left = self.limit - _held() if need else 0
        if left < need:
            said = (
                f"{fullname} needs {need >> 20} MB to be loaded, and {max(left, 0) >> 20} are left"
            )
            raise RunError(f"memory: {said}; raise the limit of the address space (ulimit -v)")


def _watch_room() -> None:
    """See to it that a limit of the address space is told, where there is one."""
    limit = address_space()
    watched = any(isinstance(finder, _Room) for finder in sys.meta_path)
    if limit is not None and Path("/proc/self/statm").exists() and not watched:
        sys.meta_path.insert(0, _Room(limit))


def address_space() -> int | None:
    """Return the limit of this process's address space in bytes, None where there is none."""
    try:
        import resource
    except ImportError:  # Windows has no such limits
        return None
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if limit == resource.RLIM_INFINITY else limit


def _held() -> int:
    """Return the bytes of address space that this process has taken."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    return pages * os.sysconf("SC_PAGE_SIZE")


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
