"""Random streams keyed by what they are for, never by a place in the grid.

Philox (Salmon et al. 2011) is a function of its key and a counter: a trial draws the same
numbers alone, in any grid, on any worker.
"""

from __future__ import annotations

import hashlib

import numpy as np

FORMAT = "gdcli/1"


def stream(*key: object, block: int = 0) -> np.random.Generator:
    """Return the generator of a key, such as ("cnn", 3, "order").

    `block` starts it at the block-th of 2^64 disjoint parts of its sequence (an epoch, say),
    so that a resumed run need not draw what came before.
    """
    text = "|".join([FORMAT, *map(str, key)])
    digest = hashlib.sha256(text.encode()).digest()[:16]
    counter = np.array([0, 0, 0, block], dtype=np.uint64)
    return np.random.Generator(
        np.random.Philox(key=int.from_bytes(digest, "little"), counter=counter)
    )
