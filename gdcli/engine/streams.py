"""Random streams keyed by what they are for, never by a place in the grid.

Philox (Salmon et al. 2011) is a function of its key and a counter: a trial draws the same
numbers alone, in any grid, on any worker.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

FORMAT = "gdcli/1"
BUFFER = 4  # numbers that Philox makes at a time: at this place all of them are used up


def layer_seed(problem: str, seed: int, step: int) -> int:
    """Return the seed of what layers draw from torch's own stream in a step."""
    return int(at_block(stream(problem, seed, "layers"), step).integers(2**32))


def stream(*key: object) -> np.random.Generator:
    """Return the generator of a key, such as ("cnn", 3, "order")."""
    text = "|".join([FORMAT, *map(str, key)])
    digest = hashlib.sha256(text.encode()).digest()[:16]
    return np.random.Generator(np.random.Philox(key=np.frombuffer(digest, dtype="<u8")))


def at_block(generator: np.random.Generator, block: int) -> np.random.Generator:
    """Return a stream's generator, put to the block-th of 2^64 disjoint parts of its sequence.

    A block is an epoch, say: a resumed run need not draw what came before.
    """
    state: Any = generator.bit_generator.state
    state["state"]["counter"] = np.array([0, 0, 0, block], dtype=np.uint64)
    generator.bit_generator.state = {**state, "buffer_pos": BUFFER, "has_uint32": 0}
    return generator
