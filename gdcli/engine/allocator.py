"""How the C library hands out memory."""

from __future__ import annotations

import ctypes
import sys
from functools import cache

MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1  # mallopt's names for them, in malloc.h
LARGEST = 2**31 - 1


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
