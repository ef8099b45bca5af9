"""`--shard i/n`: which of the fixed batches are one process's part."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from gdcli.errors import UserError
from gdcli.fields import show

FORM = re.compile(r"(\d{1,9})/(\d{1,9})", re.ASCII)
NUMBER = re.compile(r"\d{1,18}", re.ASCII)
FIX = "give i/n, such as 1/4 to 4/4"


@dataclass(frozen=True)
class Share:
    """Every `count`-th batch, counted from `place`, which is 1 for the first."""

    place: int = 1
    count: int = 1

    def takes(self, index: int) -> bool:
        """Return whether a batch is of this share."""
        return index % self.count == self.place - 1

    def __str__(self) -> str:
        return f"{self.place}/{self.count}"


def share_of(given: str | None, environment: Mapping[str, str]) -> Share:
    """Return the share that --shard names, or a SLURM job array; else all.

    Raises UserError for what is no share.
    """
    if given is None:
        return _of_slurm(environment)
    found = FORM.fullmatch(given.strip())
    if not found:
        raise UserError("--shard", f"{show(given)} is no share of the batches", FIX)
    share = Share(int(found[1]), int(found[2]))
    if not 1 <= share.place <= share.count:
        raise UserError("--shard", f"there is no {share.place} of {share.count}", FIX)
    return share


def _of_slurm(environment: Mapping[str, str]) -> Share:
    """Return the share of a task in a job array, of whatever numbers evenly apart."""
    names = [f"SLURM_ARRAY_TASK_{name}" for name in ("ID", "COUNT", "MIN", "STEP")]
    task, count, first, step = (environment.get(name, "") for name in names)
    if not (task and count):
        return Share()
    first, step = first or "1", step or "1"
    for name, value in zip(names, (task, count, first, step), strict=True):
        if not NUMBER.fullmatch(value):
            raise UserError(name, f"{show(value)} is no number of a job array", "give --shard")
    place, rest = divmod(int(task) - int(first), max(int(step), 1))
    if rest or not 0 <= place < int(count):
        what = f"{task} is none of {count} tasks numbered evenly from {first}"
        raise UserError(names[0], what, f"use --array=1-{count}, or give --shard")
    return Share(place + 1, int(count))
