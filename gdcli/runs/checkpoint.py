"""The state of a batch that takes long, kept about once a minute: a kill costs at most that."""

from __future__ import annotations

import hashlib
import io
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np

from gdcli import door
from gdcli.errors import UserError
from gdcli.runs import atomic

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Arrays = dict[str, NDArray[Any]]

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
