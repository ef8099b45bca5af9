"""The one way into a run's folder: what is read of a folder, perhaps a stranger's, comes in here.

A file is a plain one, no link, device or pipe; JSON is strict, of bounded size and depth, and of
the types that are asked for; a line of a table is of bounded length. All that costs time and
memory in proportion to what is there, never to what a file says of itself.

Small files that the user names, read whole: experiments and code.

A link is followed. What is no plain file is refused: a pipe may never be written to, a device may
never end.
"""

from __future__ import annotations

import errno
import json
import os
import stat
import sys
from collections.abc import Generator, Iterator, Mapping
from functools import cache
from math import isfinite
from pathlib import Path
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    BinaryIO,
    Literal,
    NoReturn,
    NotRequired,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from gdcli.errors import UserError

FLAGS = sum(
    getattr(os, name, 0) for name in ("O_RDONLY", "O_BINARY", "O_CLOEXEC", "O_NOFOLLOW")
) | getattr(os, "O_NONBLOCK", 0)  # else a pipe is waited for until somebody writes to it
INNER = (".gdcli", "shards", "checkpoints")  # folders that a run makes in its own
# Bytes. The settings of a million trials take a few of these; an axis has 100,000 values at most.
MOST_JSON, MOST_TOML = 2**26, 2**22
MOST_VALUES = 4_000_000  # of JSON: a value takes up to 200 bytes of memory
DEEPEST = 40  # lists in lists; a run's files have ten
LONGEST_LINE = 2**17  # bytes of a line of a table, quoted line breaks and all; so says csv, too
BLOCK = 2**20  # bytes that are read at a time
# What is to be done about a run that is not finished.
GO_ON = "give its command again, which goes on with it; of several shards, gdcli merge them"
REPAIR = "run the same experiment again: what is damaged is made anew"
KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def opened(file: Path) -> BinaryIO:
    """Open a file of a run's folder to be read.

    Raises UserError for what is no plain file of that folder, OSError where it cannot be read.
    """
    if link := next((folder for folder in _inner(file) if folder.is_symlink()), None):
        _refuse(link, "it is a link", "put the folder itself in its place")
    try:
        descriptor = os.open(file, FLAGS)
    except OSError as error:
        if error.errno == errno.ELOOP or file.is_symlink():
            _refuse(file, "it is a link", "put the file itself in its place")
        if error.errno == errno.ENXIO:
            _refuse(file, "it is a socket", REPAIR)
        raise
    kind = stat.S_IFMT(os.fstat(descriptor).st_mode)
    if kind != stat.S_IFREG:
        os.close(descriptor)
        _refuse(file, f"it is {KINDS.get(kind, 'no plain file')}", REPAIR)
    return os.fdopen(descriptor, "rb")


def _inner(file: Path) -> Iterator[Path]:
    """Yield the folders that a file is in, up to the run's own."""
    folder = file.parent
    while folder.name in INNER:
        yield folder
        if folder.name == INNER[0]:
            return
        folder = folder.parent


def content(file: Path, most: int) -> bytes:
    """Return the bytes of a file of a run's folder; raises UserError for more than `most`."""
    with opened(file) as stream:
        size = os.fstat(stream.fileno()).st_size
        found = stream.read(most + 1) if size <= most else b""
    if max(size, len(found)) > most:
        _refuse(file, f"it has more than {most >> 20} MiB, which no such file has", REPAIR)
    return found


def text(file: Path, most: int = MOST_TOML) -> str:
    """Return a text file of a run's folder; raises UserError for one that is no UTF-8."""
    try:
        return content(file, most).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        _refuse(file, f"byte {error.start} is not UTF-8", REPAIR)


def json_of(file: Path, hint: Any) -> Any:
    """Return the JSON of a file of a run's folder, of the type `hint`; None for any other.

    Raises OSError where there is no such file, or it cannot be read; UserError for what is no
    plain file, or too large.
    """
    value = strict_json(content(file, MOST_JSON))
    return value if fits(value, hint) else None


def strict_json(given: bytes) -> Any:
    """Return the value of strict JSON that can be printed, hashed and computed with; else None."""
    if given.count(b",") + given.count(b"[") + given.count(b"{") > MOST_VALUES:
        return None
    try:
        value = json.loads(given.decode(), parse_constant=_constant)
    except (ValueError, RecursionError):
        return None
    return value if _plain(value) else None


def _constant(constant: str) -> NoReturn:
    raise ValueError(constant)


def _plain(value: Any) -> bool:
    """Return whether a value is of bounded depth, its numbers finite and its texts Unicode."""
    level, depth = [value], 0
    while level:
        if depth > DEEPEST:
            return False
        deeper: list[Any] = []
        for one in level:
            if isinstance(one, str):
                if not _encodes(one):  # half of a pair of surrogates
                    return False
            elif isinstance(one, float):
                if not isfinite(one):  # 1e999
                    return False
            elif isinstance(one, dict):
                deeper += one
                deeper += one.values()
            elif isinstance(one, list):
                deeper += one
        level, depth = deeper, depth + 1
    return True


def _encodes(given: str) -> bool:
    if given.isascii():
        return True
    try:
        given.encode()
    except UnicodeEncodeError:
        return False
    return True


def fits(value: Any, hint: Any) -> bool:  # noqa: PLR0911 -- one a kind of type
    """Return whether a JSON value is of a type: of those that a run's files are made of.

    A TypedDict may have further keys; of a NamedTuple there are the fields by name. A number is
    finite in float64, a whole one is a number, too.
    """
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if origin is Annotated:
        return fits(value, arguments[0]) and all(note(value) for note in arguments[1:])
    if origin in (Union, UnionType):
        return any(fits(value, one) for one in arguments)
    if origin is Literal:
        return any(type(value) is type(one) and value == one for one in arguments)
    if origin is list:
        return isinstance(value, list) and all(fits(one, arguments[0]) for one in value)
    if origin in (dict, Mapping):
        held = value.values() if isinstance(value, dict) else ()
        return isinstance(value, dict) and all(fits(one, arguments[1]) for one in held)
    if hasattr(hint, "_fields"):
        return isinstance(value, dict) and _has_fields(value, hint)
    if is_typeddict(hint):
        return isinstance(value, dict) and _has_keys(value, hint)
    if hint is float:
        return type(value) in (int, float) and abs(value) <= sys.float_info.max
    return type(value) is (NoneType if hint is None else hint)


def _has_fields(value: Mapping[str, Any], hint: Any) -> bool:
    """Return whether a dictionary holds the fields of a NamedTuple, and nothing else."""
    needed = set(hint._fields) - set(hint._field_defaults)
    hints = _hints(hint)
    return needed <= value.keys() <= hints.keys() and all(
        fits(one, hints[key]) for key, one in value.items()
    )


def _has_keys(value: Mapping[str, Any], hint: Any) -> bool:
    for key, of in _hints(hint).items():
        # __required_keys__ knows nothing of annotations that are put off.
        optional = get_origin(of) is NotRequired
        if key not in value:
            if not optional:
                return False
        elif not fits(value[key], get_args(of)[0] if optional else of):
            return False
    return True


@cache
def _hints(hint: Any) -> Mapping[str, Any]:
    return get_type_hints(hint, include_extras=True)


def lines(file: Path) -> Generator[bytes, None, None]:
    """Yield the lines of a table of a run's folder, each with its end.

    Raises UserError where one is longer than a run writes, OSError where it cannot be read.
    """
    count = 0
    for part in parts(file):
        found = part.split(b"\n")
        rest = found.pop()
        for line in found:
            count += 1
            if len(line) > LONGEST_LINE:
                _refuse_line(file, count)
            yield line + b"\n"
        if rest:
            yield rest


def parts(file: Path) -> Generator[bytes, None, None]:
    """Yield a table of a run's folder part by part, each of whole lines; the last may lack its end.

    Raises UserError and OSError as `lines` does, the former where a line has no end for long.
    """
    with opened(file) as stream:
        count, rest = 0, b""
        while block := stream.read(BLOCK):
            whole, end, last = block.rpartition(b"\n")
            if end:
                yield (part := rest + whole + end)
                count += part.count(b"\n")
                rest = last
            else:
                rest += last
            if len(rest) > LONGEST_LINE:
                _refuse_line(file, count + 1)
        if rest:
            yield rest


def blocks(stream: BinaryIO, length: int) -> Iterator[bytes]:
    """Yield so many bytes of a table, block by block; raises UserError where they have no lines."""
    while length > 0 and (block := stream.read(min(BLOCK, length))):
        if len(block) == BLOCK and b"\n" not in block:
            _refuse(Path(str(stream.name)), "it is no table", REPAIR)
        length -= len(block)
        yield block


def _refuse_line(file: Path, line: int) -> NoReturn:
    raise UserError(f"{file}:{line}", "the line is longer than any that a run writes", REPAIR)


def _refuse(file: Path, what: str, fix: str) -> NoReturn:
    raise UserError(str(file), what, fix)


GIVEN_FLAGS = os.O_RDONLY | sum(
    getattr(os, name, 0) for name in ("O_BINARY", "O_CLOEXEC", "O_NONBLOCK")
)
MOST = 2**24  # bytes: what people write has a thousandth of these


def given_content(file: Path, where: str, fix: str) -> bytes:
    """Return the bytes of a file; raises UserError, naming `where`, with what to do."""
    try:
        descriptor = os.open(file, GIVEN_FLAGS)
    except (OSError, ValueError) as error:  # a path with a null character in it
        what = getattr(error, "strerror", None) or "it cannot be read"
        raise UserError(where, what[:1].lower() + what[1:], fix) from None
    state = os.fstat(descriptor)
    if not stat.S_ISREG(state.st_mode):
        os.close(descriptor)
        if stat.S_ISDIR(state.st_mode):
            raise UserError(where, "it is a directory", fix)
        what = "it is a pipe or a device, which may never end"
        raise UserError(where, what, "save what it gives in a file")
    with os.fdopen(descriptor, "rb") as stream:
        try:
            # Of a file that waits for what is not there yet, as of /proc, None comes.
            found = (stream.read(MOST + 1) or b"") if state.st_size <= MOST else b""
        except OSError as error:
            raise UserError(where, (error.strerror or "it cannot be read").lower(), fix) from None
    if max(state.st_size, len(found)) > MOST:
        raise UserError(where, f"it has more than {MOST >> 20} MB", fix)
    return found
