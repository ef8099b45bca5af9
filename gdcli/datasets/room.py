"""How much memory there is, and whether a file's values fit into it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from gdcli.errors import UserError

UNITS = ("B", "kB", "MB", "GB")


OWN_GROUPS, SEPARATORS = Path("/proc/self/cgroup"), 2
# Of a control group of each version: its limit, what it holds, and what of that is given back.
GROUPS = {
    "0::": ("/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"),
    "memory": (
        "/sys/fs/cgroup/memory",
        *("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ),
}


def free() -> int:
    """Return the bytes that this process could use without swapping.

    That is what the machine has free, and what the limits of the process and of the control groups
    that it is in, as in a container, leave of it.
    """
    return max(0, min((_free_here(), *_left_by_limit(), *_left_by_groups())))


def _free_here() -> int:
    """Return the bytes that the machine has free."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        available = next(line for line in lines if line.startswith("MemAvailable"))
        return int(available.split()[1]) * 1024
    except (OSError, StopIteration):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _left_by_limit() -> Iterator[int]:
    """Yield what a limit of the address space (ulimit -v) leaves, where there is one."""
    try:
        import resource  # noqa: PLC0415 -- Windows has none

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        held = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except (ImportError, OSError, ValueError):
        return
    if limit != resource.RLIM_INFINITY:
        yield limit - held * resource.getpagesize()


def _left_by_groups() -> Iterator[int]:
    """Yield what each control group with a limit leaves: the process's own, and those around it."""
    try:
        lines = OWN_GROUPS.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return
    for line in lines:
        if line.count(":") < SEPARATORS:
            continue
        number, kinds, path = line.split(":", 2)
        kind = f"{number}::" if not kinds else "memory" if "memory" in kinds.split(",") else ""
        if kind not in GROUPS:
            continue
        root, *names = GROUPS[kind]
        own = Path(root, path.lstrip("/"))
        # In a container the path is that of the machine, and the group is the root.
        for folder in {own, *own.parents, Path(root)}:
            if folder.is_relative_to(root) and (left := _left_in(folder, *names)) is not None:
                yield left


def _left_in(group: Path, limit: str, held: str, cached: str) -> int | None:
    """Return what a group's limit leaves; None where it has none."""
    try:
        most, used = (int((group / name).read_text(encoding="ascii")) for name in (limit, held))
        lines = (group / "memory.stat").read_text(encoding="ascii").splitlines()
        given_back = next((int(n) for name, n in map(str.split, lines) if name == cached), 0)
    except (OSError, ValueError):  # "max", or no such group
        return None
    return most - used + given_back


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
