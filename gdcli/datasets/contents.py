"""What a data file holds, unpacked where its first bytes say so, and no more than there is room."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from gdcli.datasets.room import check_room, human
from gdcli.errors import MissingData, UserError
from gdcli.fields import show

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

PART = 2**20
ADDRESS = re.compile("(https?|ftp|s3|gs|hf):/", re.IGNORECASE)
# gzip makes text of few different characters a thousandth; a table that is of some use a tenth.
RATIO = 200
HARMLESS = 2 * 10**7  # bytes that any archive may unpack to
PACKED = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"]\x00\x00": "lzma",
    b"PK\x03\x04": "zip",
}
UNPACK: dict[str, Any] = {
    "gzip": gzip.open,
    "bzip2": bz2.open,
    "xz": lzma.open,
    "lzma": lzma.open,
}
DAMAGED = (gzip.BadGzipFile, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)
# What zipfile raises of a damaged archive, which it does not foresee, or of a way that it has not.
WRONG_ZIP = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    IndexError,
    OverflowError,
)
JUNK = re.compile(r"__MACOSX/|(.*/)?\.")  # what macOS puts beside a member, and hidden files


def read_contents(file: Path, option: str) -> bytes:
    """Return the bytes of a file; raises UserError, naming `option`, when it cannot be read."""
    with opened(file, option) as stream:
        parts, size = [], 0
        while part := stream.read(PART):
            parts.append(part)
            size += len(part)
            check_room(2 * size, file)  # the parts, and all of them joined
        return b"".join(parts)


@contextmanager
def opened(file: Path, option: str) -> Iterator[io.BufferedReader]:
    """Open a file to be read from its start to its end; what is packed is unpacked.

    gzip, bzip2, xz and a zip archive of one member are known by their first bytes. Raises
    UserError, naming `option`, for a file that cannot be read, and, while it is read, for an
    archive that is damaged or grows without measure.
    """
    kind = ""
    try:
        state = file.stat()
        if not (stat.S_ISREG(state.st_mode) or stat.S_ISDIR(state.st_mode)):
            what = f"{show(str(file))} is a pipe or a device, which cannot be read again"
            raise UserError(option, what, "save what it gives in a file")
        if not state.st_size and not _ends(file):
            what = f"{show(str(file))} waits for what is written to it, and may never end"
            raise UserError(option, what, "save what it gives in a file")
        with file.open("rb") as raw, ExitStack() as until_read:
            kind = _packing(raw)
            if kind:
                unpacked = until_read.enter_context(_unpacked(raw, kind, file))
                yield io.BufferedReader(_Unpacked(unpacked, file, file.stat().st_size))
            else:
                yield raw
    except FileNotFoundError:
        what = f"there is no file {show(str(file))}"
        address = ADDRESS.match(str(file))  # a Path has one slash where it has two
        fix = "fetch what is at that address, and give the file" if address else "check the path"
        raise MissingData(option, what, fix) from None
    except DAMAGED:
        if not kind:  # it is for the reader to say what is damaged
            raise
        raise UserError(
            str(file), f"the {kind} data is damaged", "fetch or compress it anew"
        ) from None
    except OSError as error:
        if kind == "bzip2" and error.strerror is None:  # "Invalid data stream"
            raise UserError(
                str(file), "the bzip2 data is damaged", "fetch or compress it anew"
            ) from None
        what = f"{show(str(file))} cannot be read: {error.strerror}"
        raise UserError(option, what, "check what the path names") from None


def _ends(file: Path) -> bool:
    """Return whether a file of no size is read at once: some of those in /proc never are."""
    descriptor = os.open(file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    try:
        os.read(descriptor, 1)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


@contextmanager
def seekable(file: Path, option: str) -> Iterator[IO[bytes]]:
    """Open a file as `opened` does, to be read in any order: what is packed is read whole."""
    if packed(file, option):
        yield io.BytesIO(read_contents(file, option))
    else:
        with opened(file, option) as stream:
            yield stream


def packed(file: Path, option: str) -> bool:
    """Return whether a file is unpacked when it is read."""
    with opened(file, option) as stream:
        return not isinstance(stream.raw, io.FileIO)


def _packing(raw: io.BufferedReader) -> str:
    """Return what unpacks a file, "" where nothing has to."""
    start = raw.peek(8)[:8]
    kind = next((name for magic, name in PACKED.items() if start.startswith(magic)), "")
    if kind == "zip":
        try:
            with zipfile.ZipFile(raw) as archive:
                kind = kind if _only_member(archive) else ""
        except WRONG_ZIP:
            kind = ""
        finally:
            raw.seek(0)
    return kind


def _only_member(archive: zipfile.ZipFile) -> str | None:
    """Return the name of the one file in an archive; None for several, and for an array of .npz."""
    names = [
        info.filename
        for info in archive.infolist()
        if info.filename and not info.is_dir() and not JUNK.match(info.filename)
    ]
    return names[0] if len(names) == 1 and not names[0].endswith(".npy") else None


@contextmanager
def _unpacked(raw: IO[bytes], kind: str, file: Path) -> Iterator[IO[bytes]]:
    if kind == "zip":
        with zipfile.ZipFile(raw) as archive:
            try:
                member = archive.open(_only_member(archive) or "")
            except (RuntimeError, NotImplementedError):  # a password; a way of packing
                what = "the zip archive needs a password, or is packed in a way that is not read"
                raise UserError(str(file), what, "unpack it") from None
            with member:
                yield member
    else:
        with UNPACK[kind](raw, "rb") as stream:
            yield stream


class _Unpacked(io.RawIOBase):
    """An archive that is unpacked while it is read, as far as `check_ratio` lets it."""

    def __init__(self, stream: IO[bytes], file: Path, packed: int) -> None:
        self.stream, self.file, self.packed, self.size = stream, file, packed, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        part = self.stream.read(memoryview(buffer).nbytes)
        self.size += len(part)
        check_ratio(self.size, self.packed, self.file)
        memoryview(buffer)[: len(part)] = part
        return len(part)


def check_ratio(size: int, packed: int, file: Path) -> None:
    """Raise UserError where so few bytes, packed, stand for so many that it must be a trap."""
    if size > max(HARMLESS, RATIO * packed):
        what = f"its {human(packed)} unpack to {human(size)} or more, {RATIO} times as much"
        raise UserError(str(file), what, "unpack it yourself, if that is right")
