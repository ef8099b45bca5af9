"""A file that a command writes besides what it prints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gdcli.errors import UserError
from gdcli.fields import show


def checked_output(path: Path, endings: Sequence[str]) -> Path:
    """Return a path that can be written; raises UserError where it cannot, or ends otherwise."""
    wanted = ", ".join(endings)
    if path.suffix.lower() not in endings:
        what = f"{show(str(path))} does not end in {wanted}"
        raise UserError("--output", what, f"the ending says what is written: give {wanted}")
    if path.is_dir() or not path.parent.is_dir():
        what = "is a folder" if path.is_dir() else "is in no folder that exists"
        fix = "give a file in a folder that exists"
        raise UserError("--output", f"{show(str(path))} {what}", fix)
    return path
