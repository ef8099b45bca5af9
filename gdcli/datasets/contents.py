"""What a data file holds, unpacked where its first bytes say so, and no more than there is room.

How much memory there is, and whether a file's values fit into it.

Whether a file is the one that it was: what the system keeps of it besides its content.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import re
import stat
import struct
import time
import zipfile
import zlib
from contextlib import ExitStack, contextmanager
from pathlib import Path
from stat import S_ISREG
from typing import IO, TYPE_CHECKING, Any

from gdcli.errors import MissingData, UserError
from gdcli.fields import show

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _typeshed import WriteableBuffer

UNITS = ("B", "kB", "MB", "GB")


OWN_GROUPS, SEPARATORS = Path("/proc/self/cgroup"), 2
# Of a control group of each version: its limit, what it holds, and what of that is given back.
GROUPS = {
    "0::": ("/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"),
    "memory": (
        "/sys/fs/cgroup/memory",
        *("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ),
}


def free() -> int:
    """Return the bytes that this process could use without swapping.

    That is what the machine has free, and what the limits of the process and of the control groups
    that it is in, as in a container, leave of it.
    """
    return max(0, min((_free_here(), *_left_by_limit(), *_left_by_groups())))


def _free_here() -> int:
    """Return the bytes that the machine has free."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        available = next(line for line in lines if line.startswith("MemAvailable"))
        return int(available.split()[1]) * 1024
    except (OSError, StopIteration):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _left_by_limit() -> Iterator[int]:
    """Yield what a limit of the address space (ulimit -v) leaves, where there is one."""
    try:
        import resource  # noqa: PLC0415 -- Windows has none

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        held = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except (ImportError, OSError, ValueError):
        return
    if limit != resource.RLIM_INFINITY:
        yield limit - held * resource.getpagesize()


def _left_by_groups() -> Iterator[int]:
    """Yield what each control group with a limit leaves: the process's own, and those around it."""
    try:
        lines = OWN_GROUPS.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return
    for line in lines:
        if line.count(":") < SEPARATORS:
            continue
        number, kinds, path = line.split(":", 2)
        kind = f"{number}::" if not kinds else "memory" if "memory" in kinds.split(",") else ""
        if kind not in GROUPS:
            continue
        root, *names = GROUPS[kind]
        own = Path(root, path.lstrip("/"))
        # In a container the path is that of the machine, and the group is the root.
        for folder in {own, *own.parents, Path(root)}:
            if folder.is_relative_to(root) and (left := _left_in(folder, *names)) is not None:
                yield left


def _left_in(group: Path, limit: str, held: str, cached: str) -> int | None:
    """Return what a group's limit leaves; None where it has none."""
    try:
        most, used = (int((group / name).read_text(encoding="ascii")) for name in (limit, held))
        lines = (group / "memory.stat").read_text(encoding="ascii").splitlines()
        given_back = next((int(n) for name, n in map(str.split, lines) if name == cached), 0)
    except (OSError, ValueError):  # "max", or no such group
        return None
    return most - used + given_back


def check_room(size: int, file: Path) -> None:
    """Raise UserError if a file's values, of so many bytes, need more than half of what is free.

    Asked before they are read: a few bytes can stand for terabytes.
    """
    room = free() // 2
    if size > room:
        what = f"its values take {human(size)}, more than the {human(room)} that may be used"
        raise UserError(str(file), what, "give fewer examples or columns")


def human(size: float) -> str:
    """Return bytes in the largest unit that leaves a number of at least 1."""
    for unit in UNITS:
        if size < 999.5:  # which is rounded to 1e+03
            return f"{size:.3g}{unit}"
        size /= 1000
    return f"{size:.3g}TB"


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


SETTLED = 2 * 10**9  # nanoseconds, the coarsest times of a file system: a change within is not seen

Stamp = list[int]  # as JSON has it


def stamp_of(file: Path) -> Stamp | None:
    """Return the size, the times, the inode and the device of a file.

    A write changes the time of change, too, which programs cannot set back: whoever replaces a
    file, or writes in it, leaves another stamp. None for a file that is not there, is no plain
    one, or changed so lately that another change might leave the same stamp.
    """
    try:
        found = file.stat()
    except (OSError, ValueError):
        return None
    if not S_ISREG(found.st_mode) or time.time_ns() - found.st_ctime_ns < SETTLED:
        return None
    times = found.st_mtime_ns, found.st_ctime_ns
    return [found.st_size, *times, found.st_ino, found.st_dev]
