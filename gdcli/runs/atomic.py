"""Files that are there whole or not at all, whatever is killed when."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterable
from contextlib import suppress
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
    temporary = path.parent / f"{TEMPORARY}{os.getpid()}-{secrets.token_hex(6)}"
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


def is_being_written(temporary: Path) -> bool:
    """Return whether another process of this host, which is alive, made a temporary file.

    Its locks may be lost, or there are none: what it writes is left to it.
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


def make(folder: Path) -> None:
    """Make a folder, and those that it is to be in, so that they last."""
    for each in reversed([folder, *folder.parents]):
        if not each.is_dir():
            each.mkdir(exist_ok=True)
            _sync(each.parent)


def _sync(folder: Path) -> None:
    """Make a rename last; where folders cannot be opened (Windows) the system sees to it."""
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
