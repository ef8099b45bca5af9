"""How much memory there is, and whether a file's values fit into it."""

from __future__ import annotations

import os
from pathlib import Path

from gdcli.errors import UserError

UNITS = ("B", "kB", "MB", "GB")


def free() -> int:
    """Return the bytes that could be used without swapping."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        available = next(line for line in lines if line.startswith("MemAvailable"))
        return int(available.split()[1]) * 1024
    except (OSError, StopIteration):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def check_room(size: int, file: Path) -> None:
    """Raise UserError if a file's values, of so many bytes, need more than half of what is free.

    Asked before they are read: a few bytes can stand for terabytes.
    """
    room = free() // 2
    if size > room:
        what = f"its values take {human(size)}, more than the {human(room)} that may be used"
        raise UserError(str(file), what, "give fewer examples or columns")


def human(size: float) -> str:
    """Return bytes in the largest unit that leaves a number of at least 1."""
    for unit in UNITS:
        if size < 999.5:  # which is rounded to 1e+03
            return f"{size:.3g}{unit}"
        size /= 1000
    return f"{size:.3g}TB"
