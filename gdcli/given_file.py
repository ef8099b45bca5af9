"""Small files that the user names, read whole: experiments and code.

A link is followed. What is no plain file is refused: a pipe may never be written to, a device may
never end.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from gdcli.errors import UserError

FLAGS = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_BINARY", "O_CLOEXEC", "O_NONBLOCK"))
MOST = 2**24  # bytes: what people write has a thousandth of these


def content(file: Path, where: str, fix: str) -> bytes:
    """Return the bytes of a file; raises UserError, naming `where`, with what to do."""
    try:
        descriptor = os.open(file, FLAGS)
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
