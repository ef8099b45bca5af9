"""Who is computing what: locks on the bytes of one file, which only save work.

A lock goes with its process, so that a dead one holds nothing. Where there is no lock service,
two processes may compute the same batch, to the same bytes.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

try:
    from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, LOCK_UN, lockf
except ImportError:  # Windows
    LOCK_EX = LOCK_NB = LOCK_SH = LOCK_UN = 0  # type: ignore[misc]

    def lockf(*_: int) -> NoReturn:  # type: ignore[misc]  # the real one takes the same
        """Say that there are no locks here."""
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))


# Byte i is batch i, and further out than any batch:
TABLES = 1 << 40  # who writes the tables
SEATS = range(1 << 41, (1 << 41) + 4096)  # one for each process that is at work in the folder
# A pipe in its place would be waited for.
SAFE = sum(getattr(os, name, 0) for name in ("O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK"))


class Claims:
    """The locks of one process in one run's folder.

    At most one a process and folder: POSIX takes all locks of a file from a process that closes
    any of its descriptors.
    """

    def __init__(self, folder: Path) -> None:
        """Open the file of locks in a run's folder, which must be there."""
        self._descriptor = os.open(_file(folder), SAFE | os.O_RDWR | os.O_CREAT, 0o666)

    def take(self, byte: int) -> bool:
        """Claim a byte; return False if another process holds it."""
        return _lock(self._descriptor, LOCK_EX, 1, byte)

    def release(self, byte: int) -> None:
        """Let others have a byte."""
        with suppress(OSError):
            lockf(self._descriptor, LOCK_UN, 1, byte)

    def attend(self) -> None:
        """Show that this process is at work here, until it closes the claims or ends."""
        next(filter(self.take, SEATS), None)

    @contextmanager
    def tables(self) -> Iterator[bool]:
        """Wait to be the only one that writes the tables; yield whether that is certain."""
        certain = False
        with suppress(OSError):
            lockf(self._descriptor, LOCK_EX, 1, TABLES)
            certain = True
        try:
            yield certain
        finally:
            self.release(TABLES)

    def close(self) -> None:
        """Give up every claim."""
        os.close(self._descriptor)


def at_work(folder: Path) -> bool:
    """Return whether another process is at work in a run's folder.

    To be asked only by a process that holds no claims there: it would lose them.
    """
    try:
        descriptor = os.open(_file(folder), SAFE | os.O_RDONLY)
    except OSError:
        return False
    try:
        return not _lock(descriptor, LOCK_SH, 0, 0)
    finally:
        os.close(descriptor)


def _file(folder: Path) -> Path:
    return folder / ".gdcli" / "claims"


def _lock(descriptor: int, kind: int, length: int, start: int) -> bool:
    """Lock bytes, all from `start` for length 0; return False if another process holds one."""
    try:
        lockf(descriptor, kind | LOCK_NB, length, start)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return True  # no lock service here: nobody can be seen, nor waited for
    return True
