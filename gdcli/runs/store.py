"""A run's folder while it is worked on: one checksummed shard for each finished batch.

Validity is a checksum, never a marker: a shard that is missing, cut short, changed or of another
experiment is simply not there, and its batch is computed again.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from gdcli import door
from gdcli.errors import UserError
from gdcli.runs import atomic
from gdcli.runs import shard as shards
from gdcli.runs.shard import Shard, packed
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
        """Make the folder, or take up what lies there.

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
        return shards.read(self._file(index), self.id, index)

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
