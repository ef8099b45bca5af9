"""How many examples, and how many trials, a program on torch computes at a time.

How many examples is part of what is computed: a sum has other bits in other pieces. So it follows
from the problem alone. The trials' bits do not depend on their company, so that any number will do.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from gdcli.problem import Batch

BENT = 3  # times what an evaluation holds: a gradient of the gradient
LEAST = 2  # examples: what is written for many may not take one
TOGETHER = 2**26  # bytes of all trials that are computed at a time


class Footprint(NamedTuple):
    """Bytes for each example of each trial."""

    point: int  # where it is evaluated
    step: int  # where a step's gradient is taken


class Pieces(NamedTuple):
    """Examples of a piece, None for all, and what each of them takes in a trial."""

    point: int | None = None  # where all examples are evaluated
    step: int | None = None  # where a step sees all examples
    each: Footprint = Footprint(1, 1)
    room: int = TOGETHER

    def trials(self, held: int) -> int:
        """Return how many trials, an even number, hold so many bytes each at a time."""
        return max(2, self.room // max(held, 1) // 2 * 2)

    def at_a_point(self, examples: int) -> int:
        """Return the bytes that a trial holds where so many examples are evaluated."""
        return self.each.point * min(examples, self.point or examples)

    def at_a_step(self, examples: int, *, full: bool) -> int:
        """Return the bytes that a trial holds in a step on so many examples, or on all."""
        return self.each.step * (min(examples, self.step or examples) if full else examples)


def pieces(part: Batch, size: int | None, least: int = LEAST) -> Iterator[tuple[float, Batch]]:
    """Yield all examples of a part, so many at a time, with the share of all that they are.

    A rest of fewer than `least` joins those before it.
    """
    count = len(next(iter(part.values()))) if part else 0
    if not size or size >= count:
        yield 1.0, part
        return
    firsts = [*range(0, count - least + 1, size)]
    for first, last in zip(firsts, [*firsts[1:], count], strict=True):
        yield (last - first) / count, {name: array[first:last] for name, array in part.items()}
