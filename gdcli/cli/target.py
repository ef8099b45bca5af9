"""`-o FILE`: whether a picture or a page can be written there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gdcli.errors import UserError
from gdcli.fields import show


def checked_target(file: Path, suffixes: Sequence[str]) -> Path:
    """Return a file that can be named so; raises UserError for another kind or no folder.

    The file itself is replaced where it is there, as a picture that is drawn again is.
    """
    given = show(str(file))
    if file.suffix.lower() not in suffixes:
        wanted = " or ".join([", ".join(suffixes[:-1]), suffixes[-1]][len(suffixes) < 2 :])
        fix = f"name it {file.stem or 'results'}{suffixes[0]}"
        raise UserError("--output", f"{given} does not end in {wanted}", fix)
    if file.is_dir():
        raise UserError("--output", f"{given} is a folder", "give a file")
    if not file.parent.is_dir():
        fix = "give a file in a folder that exists"
        raise UserError("--output", f"{given} is in no folder that exists", fix)
    return file
