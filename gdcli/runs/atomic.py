"""Files that are there whole or not at all, and locks that tell who computes what.

A lock goes with its process, so that a dead process holds nothing. Locks only save work: without a
lock service, two processes may compute the same batch, to the same bytes.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

TEMPORARY = ".tmp-"
COMMON = sum(getattr(os, name, 0) for name in ("O_BINARY", "O_CLOEXEC", "O_NOFOLLOW"))
CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | COMMON


def write(
    path: Path, chunks: Iterable[bytes], *, exclusive: bool = False, lasting: bool = True
) -> None:
    """Write a file by way of a temporary one beside it: write, fsync, rename, fsync the folder.

    With lasting=False the folder is not fsynced: only for a file that another one follows there.
    Raises FileExistsError if `exclusive` and the file is there, OSError, naming the file, if it
    cannot be written.
    """
    temporary = path.parent / _temporary_name()
    try:
        _fill(temporary, chunks)
        if exclusive:
            os.link(temporary, path)
        else:
            temporary.replace(path)
        if lasting:
            _sync(path.parent)
    except OSError as error:
        # A full disk names no file, and nobody knows the temporary one.
        if error.filename in (None, str(temporary)):
            error.filename, error.filename2 = str(path), None
        raise
    finally:
        with suppress(OSError):
            temporary.unlink()


def _temporary_name() -> str:
    return f"{TEMPORARY}{os.getpid()}-{secrets.token_hex(6)}"


def is_being_written(temporary: Path) -> bool:
    """Return whether another process of this host, which is alive, made a temporary file.

    Its locks may be lost, or locks do not exist here: its file is left alone.
    """
    number = temporary.name.removeprefix(TEMPORARY).partition("-")[0]
    if not number.isdecimal() or int(number) == os.getpid() or os.name != "posix":
        return False
    try:
        os.kill(int(number), 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return True


def _fill(file: Path, chunks: Iterable[bytes]) -> None:
    descriptor = os.open(file, CREATE, 0o666)
    try:
        for chunk in chunks:
            rest = memoryview(chunk)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def together(folder: Path) -> Iterator[Path]:
    """Yield a folder to be filled, whose files come to `folder` once all of them are whole.

    A folder that is not there is made with all of them at once. In one that is there, each file
    takes the place of the one of its name, and none before all are written: killed among these
    renames, it has some new files, each of them whole. Where the block raises, nothing is changed.
    """
    there = folder.is_dir()
    staging = (folder if there else folder.parent) / _temporary_name()
    staging.mkdir()
    try:
        yield staging
        files = sorted(file for file in staging.rglob("*") if file.is_file())
        for file in files:
            _sync_file(file)
        if not there:
            staging.rename(folder)
            _sync(folder.parent)
            return
        for file in files:
            place = folder / file.relative_to(staging)
            make(place.parent)
            file.replace(place)
        for parent in {folder / file.relative_to(staging).parent for file in files}:
            _sync(parent)
    except OSError as error:
        if error.errno is not None and error.filename is None:  # as pyarrow raises it
            error.filename = str(folder)
        raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def make(folder: Path) -> None:
    """Make a folder and its parents, and fsync them."""
    for each in reversed([folder, *folder.parents]):
        if not each.is_dir():
            each.mkdir(exist_ok=True)
            _sync(each.parent)


def _sync_file(file: Path) -> None:
    with file.open("rb") as stream:
        os.fsync(stream.fileno())


def _sync(folder: Path) -> None:
    """Fsync a folder; where folders cannot be opened (Windows), the system does it."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network file systems sync no folders
            raise
    finally:
        os.close(descriptor)


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
        """Release a byte."""
        with suppress(OSError):
            lockf(self._descriptor, LOCK_UN, 1, byte)

    def lock_folder(self) -> None:
        """Show that this process is at work here, until it closes the claims or ends."""
        next(filter(self.take, SEATS), None)

    @contextmanager
    def tables(self, note: Callable[[str], object] = lambda _: None) -> Iterator[bool]:
        """Wait to be the only one that writes the tables; yield whether that is certain.

        A process that shows no sign of work, as on a host that is gone, is waited for a while only.
        `note` is called once if this process has to wait.
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
        """Release every claim."""
        os.close(self._descriptor)


def patience_said() -> str:
    """Return in words how long this process waits for others."""
    return f"unless there is no sign of work from it for {PATIENCE:.0f} s"


class Signs:
    """Signs that the holders of claims in a run's folder are at work.

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

    Only for a process that holds no claims there: it would lose them.
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
        return True  # no lock service: other processes cannot be seen
    return True
