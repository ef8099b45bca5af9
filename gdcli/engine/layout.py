"""Where each trial is in a stacked array, and how much is computed at a time.

Trials of a seed share matrix products. A trial's bits must not depend on the other trials. BLAS
kernels compute eight columns, of one or two vector registers, by the same instructions, so a
product of always eight trials is safe. Wider products are faster. In float64 most kernels give each
eight of any number of columns the bits of eight columns alone; a product of equal columns shows
which kernels do. Kernels for float32 rarely do. Where a row times a column is a long sum, OpenBLAS
may split it by the size of the whole product (on AVX-512, from some 400 numbers on): such products
stay narrow without a test.

Programs on torch compute examples in pieces. The size of a piece is part of the result, since a sum
has other bits in other pieces: it follows from the problem alone. The trials' bits do not depend on
how many are computed at a time, so any number will do.
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


class TrialLayout(NamedTuple):
    """The axes of trials of a stacked array, and each trial's place on them.

    Places without a trial repeat the first trial of their seed (padding). A stack then always has
    the shapes that its matrix products need to give a trial the same bits among any other trials.
    """

    shape: tuple[int, ...]
    place: Array  # each trial's index in the flattened axes
    seeds: tuple[int, ...]  # the distinct seeds
    seed: Array  # each place's index among them, of the layout's shape
    source_trial: Array  # the trial whose settings each place has, of the layout's shape

    def scatter(self, values: Sequence[Any]) -> NDArray[Any]:
        """Return one value a trial as an array of the layout's shape, padding included."""
        return np.asarray(values)[self.source_trial]

    def gather(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return the trials' values, shape (..., trials), of an array (..., *shape)."""
        flat = array.reshape(*array.shape[: array.ndim - len(self.shape)], -1)
        return flat[..., self.place]

    def filled(self) -> NDArray[np.bool_]:
        """Return which places hold a trial, not padding."""
        mask = np.zeros(self.seed.size, dtype=bool)
        mask[self.place] = True
        return mask.reshape(self.shape)


def tiled(trials: Sequence[Trial], width: int) -> TrialLayout:
    """Place trials on axes (groups, tiles, width): those of a group share their batches.

    These are the trials of one seed, or all trials where a step has all examples. The largest group
    determines the number of tiles.
    """
    groups: dict[int | None, list[int]] = {}
    for i, trial in enumerate(trials):
        groups.setdefault(_group(trial), []).append(i)
    tiles = -(-max(map(len, groups.values())) // width)
    filler = np.stack([np.resize([g[0]], tiles * width) for g in groups.values()])
    place = np.empty(len(trials), dtype=np.int64)
    for row, group in enumerate(groups.values()):
        filler[row, : len(group)] = group
        place[group] = row * tiles * width + np.arange(len(group))
    seeds, seed = _seeds(trials)
    filler = filler.reshape(len(groups), tiles, width)
    return TrialLayout(filler.shape, place, seeds, seed[filler], filler)


def largest_group(trials: Sequence[Trial]) -> int:
    """Return how many trials share their batches, at most."""
    return max(Counter(map(_group, trials)).values())


def _group(trial: Trial) -> int | None:
    return None if trial.method == "gd" else trial.seed


def _seeds(trials: Sequence[Trial]) -> tuple[tuple[int, ...], NDArray[np.int64]]:
    """Return the distinct seeds, and the index among them of each trial's."""
    index: dict[int, int] = {}
    each = [index.setdefault(trial.seed, len(index)) for trial in trials]
    return tuple(index), np.array(each)


def one_axis(trials: Sequence[Trial], multiple: int) -> TrialLayout:
    """Place trials on one axis, padded with the first of them to a multiple of a length."""
    count = -(-len(trials) // multiple) * multiple
    filler = np.zeros(count, dtype=np.int64)
    filler[: len(trials)] = np.arange(len(trials))
    seeds, seed = _seeds(trials)
    return TrialLayout((count,), np.arange(len(trials)), seeds, seed[filler], filler)


NARROWEST = 8
WIDEST = 64  # wider products are no faster
LONGEST = 256  # terms of a sum in a wide product, at most
STEPS_AT_ONCE = 16  # of the steppers that fuse steps on single examples


def width_for(
    trials: Sequence[Trial], device: Device, outputs: int, shapes: set[tuple[int, int]]
) -> int:
    """Return how many trials of one group a product has: a multiple of eight.

    `shapes`, (rows, columns), are the shapes of the matrices that a step multiplies by the trials'
    (columns, outputs * width). Without shapes the width is eight.
    """
    most = largest_group(trials)
    tiles = -(-most // WIDEST)
    width = -(-most // (tiles * NARROWEST)) * NARROWEST
    wide = isinstance(device, NumPy) and device.dtype == "float64" and bool(shapes)
    if width == NARROWEST or not wide or max(inner for _, inner in shapes) > LONGEST:
        return NARROWEST
    safe = all(same_bits(*shape, outputs * NARROWEST, outputs * width) for shape in shapes)
    return width if safe else NARROWEST


@lru_cache(maxsize=64)
def same_bits(rows: int, inner: int, narrow: int, wide: int) -> bool:
    """Return whether a (rows, inner) matrix times equal columns gives equal columns.

    All of the `wide` columns of one product are compared with the first of `narrow`, for a matrix
    as it lies in memory and for a transposed one.
    """
    rng = np.random.default_rng(0)
    column = rng.standard_normal((inner, 1))
    few, many = (np.repeat(column, count, axis=1) for count in (narrow, wide))
    plain, transposed = rng.standard_normal((rows, inner)), rng.standard_normal((inner, rows)).T
    return all(((left @ many) == (left @ few)[:, :1]).all() for left in (plain, transposed))


BENT = 3  # times the memory of an evaluation: a gradient of the gradient
LEAST = 2  # examples: code written for many may not accept one
TOGETHER = 2**26  # bytes of all trials that are computed at a time
ON_A_GPU = 2**32  # the same, on a GPU


class Footprint(NamedTuple):
    """Bytes of an example of a trial."""

    point: int  # at a recorded point
    step: int  # in a step


class Pieces(NamedTuple):
    """How many examples are computed at a time, None: all, and the memory of one."""

    point: int | None = None  # at a recorded point
    step: int | None = None  # in a step on all examples
    each: Footprint = Footprint(1, 1)
    room: int = TOGETHER

    def trials(self, held: int) -> int:
        """Return how many trials to compute at a time, if each holds `held` bytes: 2, 4, 6..."""
        return max(2, self.room // max(held, 1) // 2 * 2)

    def at_a_point(self, examples: int) -> int:
        """Return the bytes that a trial holds while `examples` examples are evaluated."""
        return self.each.point * min(examples, self.point or examples)

    def at_a_step(self, examples: int, *, full: bool) -> int:
        """Return the bytes that a trial holds in a step on `examples` examples; `full`: on all."""
        return self.each.step * (min(examples, self.step or examples) if full else examples)


def pieces(part: Batch, size: int | None, least: int = LEAST) -> Iterator[tuple[float, Batch]]:
    """Yield all examples of a part, `size` at a time, each piece with its share of the examples.

    A rest of fewer than `least` examples joins the piece before it.
    """
    count = len(next(iter(part.values()))) if part else 0
    if not size or size >= count:
        yield 1.0, part
        return
    firsts = [*range(0, count - least + 1, size)]
    for first, last in zip(firsts, [*firsts[1:], count], strict=True):
        yield (last - first) / count, {name: array[first:last] for name, array in part.items()}
