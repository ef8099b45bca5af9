"""Where each trial sits in a stacked array.

How many trials of a seed share a matrix product.

Their bits must not depend on their company. BLAS kernels compute the eight columns of one or two
vector registers by the same instructions, so that a product of always eight trials is safe. Wider
ones are faster. In float64 most kernels give each eight of any number of columns the bits that they
give eight alone; which do is seen at once from a product of equal columns. Those for float32 rarely
do. And where a row times a column is a long sum, OpenBLAS cuts it, or not, by the size of the whole
product (on AVX-512, from some 400 numbers on): such products stay narrow unseen.

How many examples, and how many trials, a program on torch computes at a time.

How many examples is part of what is computed: a sum has other bits in other pieces. So it follows
from the problem alone. The trials' bits do not depend on their company, so that any number will do.
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gdcli.engine.device import NumPy

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from gdcli.engine.device import Device
    from gdcli.experiment.grid import Trial
    from gdcli.problem import Array, Batch


class Lanes(NamedTuple):
    """The axes of trials of a stacked array, and each trial's place on them.

    Places that no trial fills repeat the first trial of their seed: a stack then always has the
    shapes that its matrix products need to give every trial the same bits in any company.
    """

    shape: tuple[int, ...]
    place: Array  # each trial's index in the flattened lanes
    seeds: tuple[int, ...]  # the distinct seeds
    seed: Array  # each lane's index among them, of the lanes' shape
    filler: Array  # the trial whose settings each lane has, of the lanes' shape

    def spread(self, values: Sequence[Any]) -> NDArray[Any]:
        """Return one value a trial as an array of the lanes' shape."""
        return np.asarray(values)[self.filler]

    def gather(self, lanes: NDArray[Any]) -> NDArray[Any]:
        """Return the trials' values, shape (..., trials), of an array (..., *lanes)."""
        flat = lanes.reshape(*lanes.shape[: lanes.ndim - len(self.shape)], -1)
        return flat[..., self.place]

    def filled(self) -> NDArray[np.bool_]:
        """Return which lanes hold a trial."""
        mask = np.zeros(self.seed.size, dtype=bool)
        mask[self.place] = True
        return mask.reshape(self.shape)


def by_seed(trials: Sequence[Trial], width: int) -> Lanes:
    """Place trials on (seeds, tiles, width): those of one seed side by side, to share its batch.

    There are as many tiles as the seed with most trials needs.
    """
    groups: dict[int, list[int]] = {}
    for i, trial in enumerate(trials):
        groups.setdefault(trial.seed, []).append(i)
    tiles = -(-max(map(len, groups.values())) // width)
    filler = np.stack([np.resize([g[0]], tiles * width) for g in groups.values()])
    place = np.empty(len(trials), dtype=np.int64)
    for row, group in enumerate(groups.values()):
        filler[row, : len(group)] = group
        place[group] = row * tiles * width + np.arange(len(group))
    shape = (len(groups), tiles, width)
    seed = np.broadcast_to(np.arange(len(groups))[:, None, None], shape)
    return Lanes(shape, place, tuple(groups), seed, filler.reshape(shape))


def in_line(trials: Sequence[Trial], multiple: int) -> Lanes:
    """Place trials on one axis, filled up with the first of them to a multiple of a length."""
    count = -(-len(trials) // multiple) * multiple
    filler = np.zeros(count, dtype=np.int64)
    filler[: len(trials)] = np.arange(len(trials))
    seeds = tuple(dict.fromkeys(trial.seed for trial in trials))
    seed = np.array([seeds.index(trials[int(i)].seed) for i in filler])
    return Lanes((count,), np.arange(len(trials)), seeds, seed, filler)


NARROWEST = 8
WIDEST = 64  # more take a step no faster
LONGEST = 256  # sum of a wide product
STEPS_AT_ONCE = 16  # of the steppers that take several steps on single examples as one


def width_for(
    trials: Sequence[Trial], device: Device, outputs: int, shapes: set[tuple[int, int]]
) -> int:
    """Return how many of the trials of one seed a product has: a multiple of eight.

    `shapes`, (rows, columns), are those of the matrices that a step multiplies by the trials'
    (columns, outputs * width). With none of them it is eight.
    """
    most = max(Counter(trial.seed for trial in trials).values())
    tiles = -(-most // WIDEST)
    width = -(-most // (tiles * NARROWEST)) * NARROWEST
    wide = isinstance(device, NumPy) and device.dtype == "float64" and bool(shapes)
    if width == NARROWEST or not wide or max(inner for _, inner in shapes) > LONGEST:
        return NARROWEST
    safe = all(same_bits(*shape, outputs * NARROWEST, outputs * width) for shape in shapes)
    return width if safe else NARROWEST


@lru_cache(maxsize=64)
def same_bits(rows: int, inner: int, narrow: int, wide: int) -> bool:
    """Return whether a (rows, inner) matrix times equal columns is the same in each of them.

    All of the `wide` columns of one product are compared with the first of `narrow`; the matrix
    once as it lies in memory, once transposed there.
    """
    rng = np.random.default_rng(0)
    column = rng.standard_normal((inner, 1))
    few, many = (np.repeat(column, count, axis=1) for count in (narrow, wide))
    plain, transposed = rng.standard_normal((rows, inner)), rng.standard_normal((inner, rows)).T
    return all(((left @ many) == (left @ few)[:, :1]).all() for left in (plain, transposed))


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
