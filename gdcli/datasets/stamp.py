"""Whether a file is the one that it was: what the system keeps of it besides its content."""

from __future__ import annotations

import time
from pathlib import Path
from stat import S_ISREG

SETTLED = 2 * 10**9  # nanoseconds, the coarsest times of a file system: a change within is not seen

Stamp = list[int]  # as JSON has it


def stamp_of(file: Path) -> Stamp | None:
    """Return the size, the times, the inode and the device of a file.

    A write changes the time of change, too, which programs cannot set back: whoever replaces a
    file, or writes in it, leaves another stamp. None for a file that is not there, is no plain
    one, or changed so lately that another change might leave the same stamp.
    """
    try:
        found = file.stat()
    except (OSError, ValueError):
        return None
    if not S_ISREG(found.st_mode) or time.time_ns() - found.st_ctime_ns < SETTLED:
        return None
    times = found.st_mtime_ns, found.st_ctime_ns
    return [found.st_size, *times, found.st_ino, found.st_dev]
