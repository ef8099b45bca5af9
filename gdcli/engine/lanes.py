"""Where each trial sits in a stacked array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gdcli.problem import Array

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gdcli.experiment.grid import Trial


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
