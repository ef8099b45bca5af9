"""A run's folder while it is worked on: a checksummed file for each finished batch.

Validity is a checksum, never a marker: a file that is missing, cut short, changed or of another
experiment counts as not there, and its batch is computed again. The state of a batch that takes
long is kept about once a minute, so that a kill costs at most that.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import math
import os
import shutil
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, NamedTuple, TypedDict
from zipfile import BadZipFile

from gdcli import door
from gdcli.errors import UserError
from gdcli.experiment.grid import MOST_TRIALS
from gdcli.runs import atomic
from gdcli.runs.spec import (
    SHOWN,
    differences,
    differing,
    identity,
    line,
    read_spec,
    spec_file,
    spec_id,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Arrays = dict[str, NDArray[Any]]


class BatchHead(TypedDict):
    """The first line of a batch's file."""

    spec: str
    batch: int
    curves: Annotated[int, lambda length: length >= 0]
    summary: Annotated[int, lambda length: length >= 0]
    seconds: float
    failed: Annotated[int, lambda count: 0 <= count <= MOST_TRIALS]
    diverged: Annotated[int, lambda count: 0 <= count <= MOST_TRIALS]
    path: str
    sha256: str


class Shard(NamedTuple):
    """The result of a batch: its lines of the two tables, and how it went."""

    curves: bytes
    summary: bytes
    seconds: float
    failed: int
    diverged: int
    path: str = ""  # which way the engine computed it; none if every trial failed


def packed(shard: Shard, spec_id: str, index: int) -> list[bytes]:
    """Return the content of a batch's file: a line of JSON with a checksum, then the tables."""
    body = shard.curves + shard.summary
    head = {
        "spec": spec_id,
        "batch": index,
        "curves": len(shard.curves),
        "summary": len(shard.summary),
        "seconds": shard.seconds,
        "failed": shard.failed,
        "diverged": shard.diverged,
        "path": shard.path,
    }
    head["sha256"] = hashlib.sha256(line(head) + body).hexdigest()
    return [line(head), body]


def read(file: Path, spec_id: str, index: int) -> Shard | None:
    """Return the shard of a batch's file, None unless it is there, whole and this batch's.

    Reading stops at the first line of a file that is not a shard, however large. Raises OSError.
    """
    try:
        with door.opened(file) as stream:
            first = stream.readline(door.LONGEST_LINE)
            head = door.strict_json(first)
            if not door.fits(head, BatchHead) or (head["spec"], head["batch"]) != (spec_id, index):
                return None
            lengths = [head["curves"], head["summary"]]
            if os.fstat(stream.fileno()).st_size != len(first) + sum(lengths):
                return None
            curves, summary = (b"".join(door.blocks(stream, length)) for length in lengths)
    except (UserError, FileNotFoundError, IsADirectoryError):
        return None
    given, digest = head.pop("sha256"), hashlib.sha256(line(head))
    digest.update(curves)
    digest.update(summary)
    if digest.hexdigest() != given or summary.count(b"\n") > MOST_TRIALS:
        return None
    return Shard(
        curves, summary, *(head[name] for name in ("seconds", "failed", "diverged", "path"))
    )


# The manifest first: without it nothing vouches for the others.
WRITTEN = ("manifest.json", "curves.csv", "summary.csv", "timings.csv", "experiment.toml")
NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


class Store:
    """The shards of one experiment in one folder."""

    def __init__(self, folder: Path, spec: Mapping[str, Any]) -> None:
        """Take the run's folder, which need not be there, and what its numbers depend on."""
        self.folder = folder
        self.spec = spec
        self.id = spec_id(spec)
        self.shards = folder / ".gdcli" / "shards"
        self.checkpoints = folder / ".gdcli" / "checkpoints"
        self._spec_file = spec_file(folder)

    def open(self, *, overwrite: bool) -> None:
        """Make the folder, or continue the run in it.

        Raises UserError when the folder holds something else, unless `overwrite`.
        """
        self._refuse_no_run(overwrite=overwrite)
        atomic.make(self.shards)
        if overwrite:
            self._remove()
            atomic.write(self._spec_file, [line(self.spec)])
        elif not self._spec_file.exists():
            self._write_spec()
        self.check_spec()

    def _refuse_no_run(self, *, overwrite: bool) -> None:
        fix = "give another --name or --output"
        for place in (self.folder, *self.folder.parents):
            if place.is_symlink() and not place.exists():
                raise UserError("--output", f"{place} is a link to nothing", fix)
            if place.exists() and not place.is_dir():
                raise UserError("--output", f"{place} is a file", fix)
        for place in (self.shards.parent, self.shards, self.checkpoints):
            if place.is_symlink():
                raise UserError("--output", f"{place} is a link", fix)
        # A process that was killed early leaves .gdcli without its spec. In this order: another
        # process may be at work here, which writes its spec first.
        strangers = any(entry.name != ".gdcli" for entry in _entries(self.folder))
        if strangers and not (self._is_run() if overwrite else self._spec_file.exists()):
            what = f"{self.folder} is not empty and holds no run"
            raise UserError("--name", what, fix)

    def _is_run(self) -> bool:
        return any((self.folder / name).exists() for name in (".gdcli", "manifest.json"))

    def _remove(self) -> None:
        """Remove what a run wrote; other files in its folder are the user's.

        Killed on the way, it leaves the old run unfinished, or the new one not begun.
        """
        for name in WRITTEN:
            (self.folder / name).unlink(missing_ok=True)
        for shard in self.shards.iterdir():
            shard.unlink(missing_ok=True)
        self._remove_checkpoints()

    def _remove_checkpoints(self) -> None:
        if self.checkpoints.is_dir():  # a pipe in its place would be waited for
            shutil.rmtree(self.checkpoints, ignore_errors=True)

    def _write_spec(self) -> None:
        """Write the spec; where several processes begin at once, the first one's stays."""
        try:
            atomic.write(self._spec_file, [line(self.spec)], exclusive=True)
        except FileExistsError:
            pass
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            atomic.write(self._spec_file, [line(self.spec)])

    def check_spec(self) -> None:
        """Raise UserError unless the folder is this run's."""
        own = json.loads(line(self.spec))
        try:
            held = read_spec(self.folder, SHOWN)
        except UserError as error:
            fix = "give another --name, or --overwrite to start again"
            raise UserError(
                "--name", f"{error.where} {error.what.removeprefix('it ')}", fix
            ) from None
        if identity(held) == identity(own):
            return
        what, fix = f"{self.folder} holds another run", "give another --name"
        if all(key.startswith("fingerprint.") for key in differing(identity(held), identity(own))):
            what, fix = f"{self.folder} was begun elsewhere", "go on there, give another --name"
            if set(differing(identity(held), identity(own))) == {"fingerprint.source"}:
                what, fix = f"{self.folder} was begun by another gdcli", "give another --name"
        what = f"{what}, which differs in {differences(held, own)}"
        raise UserError("--name", what, f"{fix}, or --overwrite to start again")

    def save(self, index: int, shard: Shard) -> None:
        """Keep a batch's shard."""
        content = packed(shard, self.id, index)
        try:
            atomic.write(self._file(index), content)
        except FileNotFoundError:
            # Another process that writes the tables may have cleared the temporary file away.
            atomic.write(self._file(index), content)

    def load(self, index: int) -> Shard | None:
        """Return a batch's shard, None unless it is there and whole."""
        return read(self._file(index), self.id, index)

    def parts(self, index: int, places: Sequence[tuple[int, int]]) -> list[bytes]:
        """Return parts of a batch's tables, which stand one after the other, by offset and length.

        Of a batch that was loaded, and so found whole, before.
        """
        if not any(length for _, length in places):
            return [b""] * len(places)
        with door.opened(self._file(index)) as stream:
            begin = len(stream.readline(door.LONGEST_LINE))
            return [_part(stream, begin + offset, length) for offset, length in places]

    def size(self) -> int:
        """Return the bytes of all batches that are there."""
        try:
            return sum(entry.stat().st_size for entry in os.scandir(self.shards))
        except OSError:
            return 0

    def there(self, total: int) -> list[int]:
        """Return the batches, of so many, that have a file, whole or not, in order."""
        try:
            names = {entry.name for entry in self.shards.iterdir()}
        except (FileNotFoundError, NotADirectoryError):
            return []
        found = {int(name) for name in names if name.isascii() and name.isdigit()}
        return sorted(i for i in found if i < total and self._file(i).name in names)

    def _file(self, index: int) -> Path:
        return self.shards / f"{index:06d}"

    def clear_temporaries(self) -> None:
        """Remove what a killed process left half written, and states of batches that are done."""
        self._remove_checkpoints()
        for folder in (self.folder, self.folder / ".gdcli", self.shards):
            for file in folder.glob(f"{atomic.TEMPORARY}*"):
                if not atomic.is_being_written(file):
                    with suppress(OSError):  # another process was first, or it is a folder
                        file.unlink()


def _part(stream: BinaryIO, offset: int, length: int) -> bytes:
    stream.seek(offset)
    return stream.read(length)


def _entries(folder: Path) -> Iterator[Path]:
    return folder.iterdir() if folder.is_dir() else iter(())


HEAD = 65  # bytes of the line with the checksum
INTERVAL = 60.0  # seconds


class Checkpoint:
    """One file, which the next state replaces; it is trusted by its checksum alone."""

    def __init__(self, file: Path, key: str) -> None:
        """Take the file, and what the state belongs to: a state of anything else is not loaded."""
        self.file, self.key = file, key
        self.last = time.monotonic()

    def due(self) -> bool:
        """Return whether the last state is a minute old."""
        return time.monotonic() - self.last >= INTERVAL

    def save(self, arrays: Arrays) -> None:
        """Keep a state instead of the one before; where there is no room, none is kept."""
        import numpy as np

        body = io.BytesIO()
        np.savez(body, allow_pickle=False, **arrays)
        content = body.getvalue()
        try:
            self.file.parent.mkdir(exist_ok=True)
            atomic.write(self.file, [self._head(content), content])
        except OSError:
            self.last = math.inf  # it only saves work: the run goes on without
            return
        self.last = time.monotonic()

    def load(self) -> Arrays | None:
        """Return the state that is kept, None unless it is whole and of this key."""
        import numpy as np

        try:
            with door.opened(self.file) as stream:
                head = stream.readline(HEAD)
                if len(head) != HEAD:
                    return None
                content = stream.read()
        except (UserError, OSError):
            return None
        if head != self._head(content):
            return None
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as file:
                # Written as they are: packed ones, of a stranger's, could be of any size.
                if any(part.compress_type for part in file.zip.infolist()):
                    return None
                return dict(file)
        except (ValueError, TypeError, AttributeError, EOFError, OSError, MemoryError, BadZipFile):
            return None

    def _head(self, content: bytes) -> bytes:
        digest = hashlib.sha256(self.key.encode())
        digest.update(content)
        return digest.hexdigest().encode() + b"\n"
