"""How the C library hands out memory."""

from __future__ import annotations

import ctypes
import sys
from functools import cache

MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1  # mallopt's names for them, in malloc.h
LARGEST = 2**31 - 1
OFTEN = 2**29  # bytes of arrays, after which what lies free between others is given back


@cache
def keep_memory() -> None:
    """Have glibc keep freed memory for the next array instead of returning it to the system.

    A step makes and frees the same arrays over and over; fetching each anew from the system, page
    by page, costs up to half of the time of a pass. Elsewhere this does nothing.
    """
    if sys.platform != "linux":
        return
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt") and hasattr(library, "gnu_get_libc_version"):
        library.mallopt(MMAP_THRESHOLD, 2**30)
        library.mallopt(TRIM_THRESHOLD, LARGEST)


class _Spent:
    """Bytes of arrays that were made and freed since memory was given back."""

    count = 0


def give_back(made: int) -> None:
    """Note so many bytes of arrays that were freed; now and then return them to the system.

    Between the few numbers that are kept of each pass the freed arrays leave gaps that the next do
    not fit into: without this, what is held grows to several times what is in use.
    """
    _Spent.count += made
    if _Spent.count < OFTEN or sys.platform != "linux":
        return
    _Spent.count = 0
    library = ctypes.CDLL(None)
    if hasattr(library, "malloc_trim"):
        library.malloc_trim(0)
