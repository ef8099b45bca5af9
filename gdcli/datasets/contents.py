"""What a data file holds, unpacked where its name ends in .gz, and no more than there is room."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from gdcli.datasets.room import check_room, human
from gdcli.errors import MissingData, UserError
from gdcli.fields import show

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

PART = 2**20
# gzip makes text of few different characters a thousandth; a table that is of some use a tenth.
RATIO = 200
HARMLESS = 2 * 10**7  # bytes that any archive may unpack to


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
    """Open a file to be read from its start to its end.

    Raises UserError, naming `option`, for one that cannot be read, and, while it is read, for an
    archive that is damaged or grows without measure.
    """
    try:
        with file.open("rb") as raw:
            if file.suffix == ".gz":
                packed = raw.seek(0, io.SEEK_END)
                raw.seek(0)
                with gzip.open(raw, "rb") as unpacked:
                    yield io.BufferedReader(_Unpacked(unpacked, file, packed))
            else:
                yield raw
    except FileNotFoundError:
        what = f"there is no file {show(str(file))}"
        raise MissingData(option, what, "check the path") from None
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise UserError(
            str(file), "the gzip data is damaged", "fetch or compress it anew"
        ) from None
    except OSError as error:
        what = f"{show(str(file))} cannot be read: {error.strerror}"
        raise UserError(option, what, "check what the path names") from None


class _Unpacked(io.RawIOBase):
    """An archive that is unpacked while it is read, as far as `check_ratio` lets it."""

    def __init__(self, stream: gzip.GzipFile, file: Path, packed: int) -> None:
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
