"""What a trial is called where people choose among many."""

from __future__ import annotations

import re
from collections.abc import Mapping

from gdcli.analysis.rows import Value

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
