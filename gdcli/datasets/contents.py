"""The bytes of a data file: unpacked, limited by the free memory, recognised when unchanged."""

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
# For each version of control groups: the limit, the used memory, and its reclaimable part.
GROUPS = {
    "0::": ("/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"),
    "memory": (
        "/sys/fs/cgroup/memory",
        *("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ),
}


def free() -> int:
    """Return the bytes that this process can use without swapping.

    This is the free memory of the machine, or what the limits of the process and of its control
    groups (a container) leave, whichever is less.
    """
    return max(0, min((_free_here(), *_left_by_limit(), *_left_by_groups())))


def _free_here() -> int:
    """Return the free bytes of the machine."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        available = next(line for line in lines if line.startswith("MemAvailable"))
        return int(available.split()[1]) * 1024
    except (OSError, StopIteration):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _left_by_limit() -> Iterator[int]:
    """Yield what a limit of the address space (ulimit -v) leaves, if there is one."""
    try:
        import resource  # noqa: PLC0415 -- not on Windows

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        held = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except (ImportError, OSError, ValueError):
        return
    if limit != resource.RLIM_INFINITY:
        yield limit - held * resource.getpagesize()


def _left_by_groups() -> Iterator[int]:
    """Yield what each control group with a limit leaves: the process's own and its parents."""
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
        # In a container the path may be the machine's, while the group is mounted as the root.
        for folder in {own, *own.parents, Path(root)}:
            if folder.is_relative_to(root) and (left := _left_in(folder, *names)) is not None:
                yield left


def _left_in(group: Path, limit: str, held: str, cached: str) -> int | None:
    """Return what a group's limit leaves; None without a limit."""
    try:
        most, used = (int((group / name).read_text(encoding="ascii")) for name in (limit, held))
        lines = (group / "memory.stat").read_text(encoding="ascii").splitlines()
        given_back = next((int(n) for name, n in map(str.split, lines) if name == cached), 0)
    except (OSError, ValueError):  # "max", or no such group
        return None
    return most - used + given_back


def check_room(size: int, file: Path) -> None:
    """Raise UserError if a file's values need more than half of the free memory.

    Call it before reading: a few compressed bytes can stand for terabytes.
    """
    room = free() // 2
    if size > room:
        what = f"its values take {human(size)}, but only {human(room)} of memory may be used"
        raise UserError(str(file), what, "give fewer examples or columns")


def human(size: float) -> str:
    """Return bytes in the largest unit that leaves a number of at least 1."""
    for unit in UNITS:
        if size < 999.5:  # otherwise 999.7 prints as 1e+03
            return f"{size:.3g}{unit}"
        size /= 1000
    return f"{size:.3g}TB"


PART = 2**20
ADDRESS = re.compile("(https?|ftp|s3|gs|hf):/", re.IGNORECASE)
# gzip compresses very repetitive text to a thousandth, and a useful table to about a tenth.
RATIO = 200
HARMLESS = 2 * 10**7  # bytes that an archive may unpack to in any case
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
# Errors that zipfile raises for a damaged archive, or for an unknown compression.
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
JUNK = re.compile(r"__MACOSX/|(.*/)?\.")  # files that macOS adds, and hidden files


def read_contents(file: Path, option: str) -> bytes:
    """Return the bytes of a file; raises UserError, naming `option`, if it cannot be read."""
    with opened(file, option) as stream:
        parts, size = [], 0
        while part := stream.read(PART):
            parts.append(part)
            size += len(part)
            check_room(2 * size, file)  # the parts, and all of them joined
        return b"".join(parts)


@contextmanager
def opened(file: Path, option: str) -> Iterator[io.BufferedReader]:
    """Open a file for reading from start to end; a compressed file is unpacked.

    gzip, bzip2, xz and a zip archive of one member are recognized by their first bytes. Raises
    UserError, naming `option`, if the file cannot be read, and while reading if the archive is
    damaged or unpacks to an unreasonable size.
    """
    kind = ""
    try:
        state = file.stat()
        if not (stat.S_ISREG(state.st_mode) or stat.S_ISDIR(state.st_mode)):
            what = f"{show(str(file))} is a pipe or a device, which cannot be read again"
            raise UserError(option, what, "save its output to a file")
        if not state.st_size and not _ends(file):
            what = f"{show(str(file))} is a stream that may never end"
            raise UserError(option, what, "save its output to a file")
        with file.open("rb") as raw, ExitStack() as until_read:
            kind = _packing(raw)
            if kind:
                unpacked = until_read.enter_context(_unpacked(raw, kind, file))
                yield io.BufferedReader(_Unpacked(unpacked, file, file.stat().st_size))
            else:
                yield raw
    except FileNotFoundError:
        what = f"there is no file {show(str(file))}"
        address = ADDRESS.match(str(file))  # a Path merges the two slashes of an address
        fix = "download the file, and give its path" if address else "check the path"
        raise MissingData(option, what, fix) from None
    except DAMAGED:
        if not kind:  # the reader reports the damage
            raise
        raise UserError(
            str(file), f"the {kind} data is damaged", "download or compress it again"
        ) from None
    except OSError as error:
        if kind == "bzip2" and error.strerror is None:  # "Invalid data stream"
            raise UserError(
                str(file), "the bzip2 data is damaged", "download or compress it again"
            ) from None
        what = f"{show(str(file))} cannot be read: {error.strerror}"
        raise UserError(option, what, "check what the path names") from None


def _ends(file: Path) -> bool:
    """Return whether a file without a size can be read at once; some in /proc never end."""
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
    """Open a file like `opened`, but for reading in any order: a packed file is read whole."""
    if packed(file, option):
        yield io.BytesIO(read_contents(file, option))
    else:
        with opened(file, option) as stream:
            yield stream


def packed(file: Path, option: str) -> bool:
    """Return whether a file is compressed."""
    with opened(file, option) as stream:
        return not isinstance(stream.raw, io.FileIO)


def _packing(raw: io.BufferedReader) -> str:
    """Return the compression of a file; "" for none."""
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
    """Return the name of the only file in an archive; None for several, and for an .npz array."""
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
                what = (
                    "the zip archive needs a password, or has a compression that is not supported"
                )
                raise UserError(str(file), what, "unpack it") from None
            with member:
                yield member
    else:
        with UNPACK[kind](raw, "rb") as stream:
            yield stream


class _Unpacked(io.RawIOBase):
    """An archive that is unpacked while it is read, within the limit of `check_ratio`."""

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
    """Raise UserError if an archive unpacks to so many bytes that it must be a trap."""
    if size > max(HARMLESS, RATIO * packed):
        what = f"its {human(packed)} unpack to {human(size)} or more, {RATIO} times as much"
        raise UserError(str(file), what, "unpack it yourself if this size is right")


SETTLED = 2 * 10**9  # nanoseconds: the coarsest time stamps; two changes within may look equal

Stamp = list[int]  # a JSON list


def stamp_of(file: Path) -> Stamp | None:
    """Return the size, the times, the inode and the device of a file.

    A write also changes the time of change, which programs cannot set, so a replaced or changed
    file has another stamp. None for a file that does not exist, is not a plain file, or changed so
    recently that another change could leave the same stamp.
    """
    try:
        found = file.stat()
    except (OSError, ValueError):
        return None
    if not S_ISREG(found.st_mode) or time.time_ns() - found.st_ctime_ns < SETTLED:
        return None
    times = found.st_mtime_ns, found.st_ctime_ns
    return [found.st_size, *times, found.st_ino, found.st_dev]
