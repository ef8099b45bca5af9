"""Reads small files: those of a run's folder, which may come from a stranger, and the user's own.

Of a run's folder only plain files are read, no links, devices or pipes. JSON must be strict, of
bounded size and depth, and of the expected types. The lines of a table have a bounded length. Time
and memory grow with the size of the files, never with numbers inside them. Of the files that a user
names, experiments and code, links are followed; a pipe or a device is refused, since reading it may
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
) | getattr(os, "O_NONBLOCK", 0)  # without it, opening a pipe waits for a writer
INNER = (".gdcli", "shards", "checkpoints")  # subfolders of a run's folder
# Bytes. The settings of a million trials take a few MiB; an axis has at most 100,000 values.
MOST_JSON, MOST_TOML = 2**26, 2**22
MOST_VALUES = 4_000_000  # values in JSON, each of which takes up to 200 bytes of memory
DEEPEST = 40  # levels of nested lists; a run's own files have ten
LONGEST_LINE = 2**17  # bytes of a line of a table with quoted line breaks, as in the csv module
BLOCK = 2**20  # bytes to read at a time
# The fix in errors about an unfinished or damaged run.
GO_ON = "give its command again to continue it, or gdcli merge its shards"
REPAIR = "run the same experiment again, which repairs damaged files"
KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def opened(file: Path) -> BinaryIO:
    """Open a file of a run's folder for reading.

    Raises UserError unless it is a plain file of that folder, and OSError if it cannot be read.
    """
    if link := next((folder for folder in _inner(file) if folder.is_symlink()), None):
        _refuse(link, "it is a link", "replace it by the folder itself")
    try:
        descriptor = os.open(file, FLAGS)
    except OSError as error:
        if error.errno == errno.ELOOP or file.is_symlink():
            _refuse(file, "it is a link", "replace it by the file itself")
        if error.errno == errno.ENXIO:
            _refuse(file, "it is a socket", REPAIR)
        raise
    kind = stat.S_IFMT(os.fstat(descriptor).st_mode)
    if kind != stat.S_IFREG:
        os.close(descriptor)
        _refuse(file, f"it is {KINDS.get(kind, 'not a plain file')}", REPAIR)
    return os.fdopen(descriptor, "rb")


def _inner(file: Path) -> Iterator[Path]:
    """Yield the folders above a file, up to the run's own folder."""
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
        _refuse(file, f"it has more than {most >> 20} MiB, too many for such a file", REPAIR)
    return found


def text(file: Path, most: int = MOST_TOML) -> str:
    """Return a text file of a run's folder; raises UserError if it is not UTF-8."""
    try:
        return content(file, most).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        _refuse(file, f"byte {error.start} is not UTF-8", REPAIR)


def json_of(file: Path, hint: Any) -> Any:
    """Return the JSON of a file of a run's folder if it has the type `hint`, otherwise None.

    Raises OSError if the file does not exist or cannot be read, and UserError if it is not a plain
    file or is too large.
    """
    value = strict_json(content(file, MOST_JSON))
    return value if fits(value, hint) else None


def strict_json(given: bytes) -> Any:
    """Return the value of strict JSON; None if it is not strict, or too deep or too large."""
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
    """Return whether a value has bounded depth, finite numbers and valid Unicode texts."""
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
    """Return whether a JSON value has the type `hint`, one of the types in a run's files.

    A TypedDict may have further keys. A NamedTuple is an object with its fields as keys. A float
    must be finite in float64; an int is accepted for a float.
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
    """Return whether a dictionary has the fields of a NamedTuple and no other keys."""
    needed = set(hint._fields) - set(hint._field_defaults)
    hints = _hints(hint)
    return needed <= value.keys() <= hints.keys() and all(
        fits(one, hints[key]) for key, one in value.items()
    )


def _has_keys(value: Mapping[str, Any], hint: Any) -> bool:
    for key, of in _hints(hint).items():
        # __required_keys__ does not see NotRequired inside postponed annotations.
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
    """Yield the lines of a table of a run's folder, each with its line end.

    Raises UserError if a line is longer than a run writes, and OSError if the file cannot be read.
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
    """Yield a table of a run's folder in parts of whole lines; the last line may lack its end.

    Raises the same errors as `lines`.
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
    """Yield `length` bytes of a table in blocks; raises UserError if a block has no line end."""
    while length > 0 and (block := stream.read(min(BLOCK, length))):
        if len(block) == BLOCK and b"\n" not in block:
            _refuse(Path(str(stream.name)), "it is not a table", REPAIR)
        length -= len(block)
        yield block


def _refuse_line(file: Path, line: int) -> NoReturn:
    raise UserError(f"{file}:{line}", "the line is longer than a run writes", REPAIR)


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
