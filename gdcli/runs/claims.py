"""Who is computing what: locks on the bytes of one file, which only save work.

A lock goes with its process, so that a dead one holds nothing. Where there is no lock service,
two processes may compute the same batch, to the same bytes.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

from gdcli.runs.atomic import TEMPORARY

try:
    from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, LOCK_UN, lockf
except ImportError:  # Windows
    LOCK_EX = LOCK_NB = LOCK_SH = LOCK_UN = 0  # type: ignore[misc]

    def lockf(*_: int) -> NoReturn:  # type: ignore[misc]  # the real one takes the same
        """Say that there are no locks here."""
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))


PATIENCE = 100.0  # seconds without a sign of work; the state of a long batch is kept every 60
LOOK = 0.1  # seconds between two looks at a lock
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
        self._folder = folder
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
    def tables(self, note: Callable[[str], object]) -> Iterator[bool]:
        """Wait to be the only one that writes the tables; yield whether that is certain.

        For one that shows no sign of work, as on a host that is gone, is not waited for ever.
        `note` is told, once, that it is waited.
        """
        signs, certain, told = Signs(self._folder), False, False
        with suppress(OSError):
            while not certain and not signs.missing(TABLES):
                try:
                    lockf(self._descriptor, LOCK_EX | LOCK_NB, 1, TABLES)
                    certain = True
                except (BlockingIOError, PermissionError):
                    if not told:
                        note(f"waiting for a process that writes the tables, {patience_said()}")
                    told = True
                    time.sleep(LOOK)
        try:
            yield certain
        finally:
            self.release(TABLES)

    def close(self) -> None:
        """Give up every claim."""
        os.close(self._descriptor)


def patience_said() -> str:
    """Return in words how long is waited for others."""
    return f"unless there is no sign of work from it for {PATIENCE:.0f} s"


class Signs:
    """Whether those that hold claims in a run's folder show that they are at work.

    Files change there when a batch is done, once a minute while it is computed, and while the
    tables are written. A claim may outlive its process: a host that is gone does not give it up.
    """

    def __init__(self, folder: Path) -> None:
        """Take the run's folder."""
        hidden = _file(folder).parent
        self._folders = (folder, hidden / "shards", hidden / "checkpoints")
        self._seen: dict[int, tuple[list[int], float]] = {}

    def missing(self, byte: int) -> bool:
        """Return whether nothing has changed for `PATIENCE` since this was asked of a byte."""
        state, now = self._state(), time.monotonic()
        before, since = self._seen.get(byte, ([], now))
        if state != before:
            self._seen[byte] = state, now
            return False
        return now - since > PATIENCE

    def _state(self) -> list[int]:
        """Return when the files of a run were last changed, in nanoseconds."""
        found = []
        for folder in self._folders:
            with suppress(OSError):
                found += [folder.stat().st_mtime_ns]
        for file in self._folders[0].glob(f"{TEMPORARY}*"):  # the tables, as they are written
            with suppress(OSError):
                found += [file.stat().st_mtime_ns]
        return found


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
