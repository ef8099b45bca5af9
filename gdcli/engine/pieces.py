"""How many examples, and how many trials, a program on torch computes at a time.

How many examples is part of what is computed: a sum has other bits in other pieces. So it follows
from the problem alone. The trials' bits do not depend on their company, so that any number will do.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from gdcli.engine.families import precision
from gdcli.engine.footprint import Footprint, footprint, parted
from gdcli.engine.program import CHUNK
from gdcli.problem import Batch, Data, Network, StatefulNetwork

if TYPE_CHECKING:
    from gdcli.grid import Trial
    from gdcli.problem import Problem

# Bytes of a trial up to which all of its examples are computed at a time, or all of a CHUNK.
WHOLE, OF_A_CHUNK = 2**27, 2**29
PIECE = 2**24  # bytes of a trial that would have more: less take as long, and more a little longer
BENT = 3  # times what an evaluation holds: a gradient of the gradient
LEAST = 2  # examples: what is written for many may not take one
TOGETHER = {True: 2**26, False: 2**32}  # bytes of all trials at a time, on the CPU and on a GPU


class Pieces(NamedTuple):
    """Examples of a piece, None for all, and what each of them takes in a trial."""

    point: int | None = None  # where all examples are evaluated
    step: int | None = None  # where a step sees all examples
    each: Footprint = Footprint(1, 1)
    room: int = TOGETHER[True]

    def trials(self, held: int) -> int:
        """Return how many trials, an even number, hold so many bytes each at a time."""
        return max(2, self.room // max(held, 1) // 2 * 2)

    def at_a_point(self, examples: int) -> int:
        """Return the bytes that a trial holds where so many examples are evaluated."""
        return self.each.point * min(examples, self.point or examples)

    def at_a_step(self, examples: int, *, full: bool) -> int:
        """Return the bytes that a trial holds in a step on so many examples, or on all."""
        return self.each.step * (min(examples, self.step or examples) if full else examples)


def pieces_of(trial: Trial, data: Data, *, layered: bool, eager: bool = True) -> Pieces:
    """Return the pieces of a trial; `layered` networks have CHUNK examples in each as it is."""
    problem, data_seed = trial.problem, trial.training.data_seed
    each = footprint(problem, data_seed, precision(trial))
    if each is None:
        return Pieces(CHUNK if layered else None, CHUNK if layered else None)
    room = TOGETHER[eager]
    if isinstance(problem, StatefulNetwork):
        return Pieces(problem.at_once, None, each, room)
    if layered:
        point, step = (_fitting(size, CHUNK, OF_A_CHUNK) for size in each)
        return Pieces(point, step, each, room)
    count = max((len(a) for part in (data.train, data.test) for a in part.values()), default=1)
    if count * max(each) <= WHOLE:
        return Pieces(None, None, each, room)
    adds_up = _adds_up(problem, data)
    steps = trial.method == "gd" and adds_up and parted(problem, data_seed, step=True)
    points = adds_up and parted(problem, data_seed, step=False)
    point, step = (
        _fitting(size, count, WHOLE) if may else None
        for size, may in zip(each, (points, steps), strict=True)
    )
    return Pieces(point, step, each, room)


def _fitting(size: int, count: int, whole: int) -> int:
    """Return how many examples of so many bytes there are in a piece: `count`, or a power of 2."""
    return count if size * count <= whole else max(LEAST, 2 ** ((PIECE // size).bit_length() - 1))


def _adds_up(problem: Problem, data: Data) -> bool:
    """Return whether every target counts: torch leaves negative classes out of the mean."""
    if not isinstance(problem, Network) or problem.criterion != "cross_entropy":
        return True
    return all((part["y"] >= 0).all() for part in (data.train, data.test) if part)


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
