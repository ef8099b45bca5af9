"""Characters of a text, as numbers."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path

from gdcli.datasets.contents import read_contents
from gdcli.errors import UserError
from gdcli.fields import show
from gdcli.problem import Array

MOST = 1000  # different characters: more are no alphabet


@dataclass(frozen=True)
class Text:
    """A text and its alphabet."""

    characters: str  # each once, in their order
    places: Array  # (length,) int64: each character of the text by its place among them


def read_text(file: Path | None) -> Text:
    """Return a UTF-8 text; without a file, the sonnets that travel with gdcli.

    Raises UserError for a file that cannot be read, is not UTF-8, or is no text of an alphabet.
    """
    import numpy as np

    if file is None:
        content = gzip.decompress((Path(__file__).parent / "sonnets.txt.gz").read_bytes())
    else:
        content = read_contents(file, "--data")
    try:
        text = content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = 1 + content.count(b"\n", 0, error.start)
        what = f"the byte 0x{content[error.start]:02x} is not UTF-8"
        raise UserError(f"{file}:{line}", what, "save the file as UTF-8") from None
    characters = "".join(sorted(set(text)))
    if not 2 <= len(characters) <= MOST:
        what = f"{show(str(file))} has {len(characters)} different characters"
        raise UserError("--data", what, f"give a text of 2 to {MOST} different ones")
    codes = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    places = np.searchsorted(np.array([ord(c) for c in characters]), codes)
    return Text(characters, places.astype(np.int64))
