"""Where a file has the values of an array."""

from __future__ import annotations

import math
from typing import Any, NamedTuple


class Header(NamedTuple):
    """What an array file says of itself."""

    shape: tuple[int, ...]
    order: str  # "C" or "F"
    dtype: Any  # np.dtype
    start: int  # bytes before the values

    @property
    def size(self) -> int:
        """The bytes of the values."""
        return math.prod(self.shape) * int(self.dtype.itemsize)
