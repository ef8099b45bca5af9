"""A disk of 200 kB: the run ends in one line, and goes on when there is room."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.runs.command import SMALL, gdcli, leftovers, tables

if TYPE_CHECKING:
    from pathlib import Path

MOUNT = ("mount", "-t", "tmpfs", "-o", "size=200k,mode=777", "gdcli-faults")
MANY = (*SMALL, "--seed", "0:1")  # some hundred kB: a few shards fit


@dataclass(frozen=True)
class Ended:
    """What a run on a small disk came to."""

    code: int
    errors: list[str]
    leftovers: int
    identical: bool  # with more room

    def sound(self) -> bool:
        """Return whether all went as it must."""
        told = len(self.errors) == 1 and ": no space left on device; free some" in self.errors[0]
        return self.code == 1 and told and not self.leftovers and self.identical


def small_disk(folder: Path, workers: int) -> Ended | None:
    """Return what becomes of a run on a small disk; None where none can be mounted."""
    disk = folder / "disk"
    disk.mkdir()
    if subprocess.run([*MOUNT, str(disk)], capture_output=True, check=False).returncode:
        return None
    try:
        command = (*MANY, "--workers", str(workers), "-o", str(disk))
        code, errors = gdcli(folder, *command)
        left = len(leftovers(disk))
        subprocess.run(["mount", "-o", "remount,size=100m", str(disk)], check=True)  # noqa: S607
        gdcli(folder, *command)
        gdcli(folder, *MANY)
        same = tables(disk / "run") == tables(folder / "results/run")
    finally:
        subprocess.run(["umount", str(disk)], check=True)  # noqa: S607
    return Ended(code, errors, left, same)
