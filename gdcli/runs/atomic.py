"""Files that are there whole or not at all, whatever is killed when."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
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
    """Make a folder, and those that it is to be in, so that they last."""
    for each in reversed([folder, *folder.parents]):
        if not each.is_dir():
            each.mkdir(exist_ok=True)
            _sync(each.parent)


def _sync_file(file: Path) -> None:
    with file.open("rb") as stream:
        os.fsync(stream.fileno())


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
