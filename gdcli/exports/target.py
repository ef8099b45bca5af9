"""Where an export goes: what lies there already is replaced only when that is asked for."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from gdcli.errors import UserError
from gdcli.fields import show

OUTPUT = "--output"


def refuse_existing(files: Iterable[Path], *, overwrite: bool) -> None:
    """Raise UserError where a file is there that may not be replaced."""
    for file in files:
        if file.is_dir():
            raise UserError(OUTPUT, f"{show(str(file))} is a folder", "give another name")
        if file.exists() and not overwrite:
            what = f"{show(str(file))} is there already"
            raise UserError(OUTPUT, what, "give another name, or --overwrite to replace it")


def refuse_no_folder(folder: Path) -> None:
    """Raise UserError unless this is a folder, or can be made in one."""
    if folder.exists() and not folder.is_dir():
        raise UserError(OUTPUT, f"{show(str(folder))} is a file", "give a folder")
    if not folder.parent.is_dir():
        fix = "give one in a folder that exists"
        raise UserError(OUTPUT, f"{show(str(folder))} is in no folder that exists", fix)
