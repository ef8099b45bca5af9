"""What a data file holds, unpacked where its name ends in .gz."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

from gdcli.errors import UserError
from gdcli.fields import show


def read_contents(file: Path, option: str) -> bytes:
    """Return the bytes of a file; raises UserError, naming `option`, when it cannot be read."""
    try:
        raw = file.read_bytes()
        return gzip.decompress(raw) if file.suffix == ".gz" else raw
    except FileNotFoundError:
        raise UserError(option, f"there is no file {show(str(file))}", "check the path") from None
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise UserError(
            str(file), "the gzip data is damaged", "fetch or compress it anew"
        ) from None
    except OSError as error:
        what = f"{show(str(file))} cannot be read: {error.strerror}"
        raise UserError(option, what, "check what the path names") from None
