"""Where an export goes: what lies there already is replaced only when that is asked for.

What a trial is called where people choose among many.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gdcli.errors import UserError
from gdcli.fields import show

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from gdcli.runs.csv_read import Value

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


PLAIN = ("method", "optimizer")  # said without their name
UNSAFE = re.compile(r"[^A-Za-z0-9._=-]+")
LONGEST = 100  # characters of a folder's name before the trial's id, and of that


def label(settings: Mapping[str, Value]) -> str:
    """Return a trial's settings in words: "minibatch adam batch_size=32 lr=0.1 seed=0".

    The id, and the schedule and the batch size where they are no choice, are left out.
    """
    left_out = {"trial"}
    if settings["method"] != "minibatch":
        left_out.add("batch_size")
    if settings["schedule"] == "constant":
        left_out.add("schedule")
    others = [n for n in settings if n not in {*PLAIN, *left_out} and settings[n] is not None]
    return " ".join([*(str(settings[n]) for n in PLAIN), *(f"{n}={settings[n]}" for n in others)])


def folder_name(settings: Mapping[str, Value]) -> str:
    """Return a name that is safe as a folder's anywhere, whatever the settings say."""
    words, trial = (UNSAFE.sub("_", text) for text in (label(settings), str(settings["trial"])))
    return f"{words[:LONGEST]}_{trial[:LONGEST]}"
