"""Random streams, keyed by their purpose, and the order in which steps see the examples.

Philox (Salmon et al. 2011) is a function of a key and a counter: a trial draws the same numbers
alone, in any grid and on any worker. Trials with equal seeds see equal batches.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from gdcli.engine.plan import Growth, Plan

FORMAT = "gdcli/1"
BUFFER = 4  # numbers that Philox makes at a time: at this position all of them are used


def layer_seed(problem: str, seed: int, step: int) -> int:
    """Return the seed of torch's own stream for what layers draw in a step."""
    return int(at_block(stream(problem, seed, "layers"), step).integers(2**32))


def stream(*key: object) -> np.random.Generator:
    """Return the generator of a key, such as ("cnn", 3, "order")."""
    text = "|".join([FORMAT, *map(str, key)])
    digest = hashlib.sha256(text.encode()).digest()[:16]
    return np.random.Generator(np.random.Philox(key=np.frombuffer(digest, dtype="<u8")))


def at_block(generator: np.random.Generator, block: int) -> np.random.Generator:
    """Move a generator to the block-th of 2^64 disjoint parts of its sequence, and return it.

    A block is an epoch, for example: a resumed run does not repeat the draws before it.
    """
    state: Any = generator.bit_generator.state
    state["state"]["counter"] = np.array([0, 0, 0, block], dtype=np.uint64)
    generator.bit_generator.state = {**state, "buffer_pos": BUFFER, "has_uint32": 0}
    return generator


def signs(
    key: Sequence[object], name: str, step: int, shape: tuple[int, ...]
) -> NDArray[np.float64]:
    """Return random signs, 1 or -1, for a parameter at a step; the key is problem and seed."""
    generator = at_block(stream(*key, "signs", name), step)
    return np.asarray(2 * generator.integers(2, size=shape) - 1, np.float64)


def exponentials(key: Sequence[object], step: int, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return exponential numbers, by which a model draws its labels at a step.

    Where class i has the probability p[i] and the number e[i], p / e is largest at i with the
    probability p[i]. The key is problem and seed.
    """
    return at_block(stream(*key, "labels"), step).standard_exponential(shape)


SETTLING = 64  # passes that running statistics are made anew from: of the first, 0.9**64 is left
TOGETHER = 128  # examples of such a pass, at most


def settling(problem: str, examples: int) -> Iterator[NDArray[np.int64]]:
    """Yield the indices of training examples from which running statistics are made anew.

    The same for every trial and step: the examples in one random order, again and again.
    """
    order = stream(problem, "settling").permutation(examples)
    size = min(examples, TOGETHER)
    for number in range(SETTLING):
        yield order[np.arange(number * size, (number + 1) * size) % examples]


class Orders:
    """The order of the examples, epoch by epoch, of every seed of a cohort."""

    def __init__(self, problem: str, seeds: Sequence[int], plan: Plan, order: str) -> None:
        """Take the plan of the cohort and the order policy: shuffle, fixed or replacement."""
        self.seeds, self.plan, self.order = seeds, plan, order
        self.streams = [stream(problem, seed, "order") for seed in seeds]
        self.held = -1  # the epoch whose order was drawn last

    def blocks(self, first: int, last: int, most: int) -> Iterator[NDArray[np.int64]]:
        """Yield example indices of the steps first..last-1, shape (steps, seeds, batch).

        A block has at most `most` steps, all of one epoch and of one batch size.
        """
        plan = self.plan
        if plan.growth:
            yield from self._growing(plan.growth, first, last, most)
            return
        while first < last:
            epoch, start = divmod(first, plan.steps_per_epoch)
            order = self._epoch(epoch)
            whole = order.shape[1] // plan.batch_size
            stop = min(start + most, start + last - first, max(whole, start + 1))
            part = order[:, start * plan.batch_size : stop * plan.batch_size]
            block = part.reshape(len(self.seeds), stop - start, -1)
            yield np.ascontiguousarray(block.transpose(1, 0, 2))
            first += stop - start

    def _growing(
        self, growth: Growth, first: int, last: int, most: int
    ) -> Iterator[NDArray[np.int64]]:
        """Yield the same where the batch size has a schedule."""
        while first < last:
            stop = growth.end_of_block(first, min(first + most, last))
            start = growth.place(first)
            end = start + growth.seen[stop] - growth.seen[first]
            part = self._epoch(growth.epoch(first))[:, start:end]
            block = part.reshape(len(self.seeds), stop - first, -1)
            yield np.ascontiguousarray(block.transpose(1, 0, 2))
            first = stop

    def _epoch(self, epoch: int) -> NDArray[np.int64]:
        """Return one epoch's order, shape (seeds, examples per epoch)."""
        epoch = 0 if self.order == "fixed" else epoch
        if self.held != epoch:
            self.held = epoch
            self._order = np.stack([self._drawn(at_block(rng, epoch)) for rng in self.streams])
        return self._order

    def _drawn(self, rng: np.random.Generator) -> NDArray[np.int64]:
        if self.order == "replacement":
            return rng.integers(self.plan.examples, size=self.plan.examples_per_epoch)
        return rng.permutation(self.plan.examples)[: self.plan.examples_per_epoch]
