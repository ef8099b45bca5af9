"""All examples of a part, as many at a time as are in memory: all at once, or read from disk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from typing import Any, TypeVar

from gdcli.datasets.on_disk import Streamed
from gdcli.problem import Array, Batch, Data, Params

T = TypeVar("T")


@dataclass(frozen=True)
class Part(Data):
    """Some of the examples of a data set, which may lack a class that the whole has."""

    whole: Data = field(default_factory=Data)


def some_of(data: Data, first: int, last: int) -> Part:
    """Return some of the training and of the test examples."""
    train, test = (
        {name: array[first:last] for name, array in part.items()}
        for part in (data.train, data.test)
    )
    return Part(train, test, data.constants, whole_of(data), classes=data.classes)


def whole_of(data: Data) -> Data:
    """Return the data set that some examples are of: it decides how many outputs there are."""
    return data.whole if isinstance(data, Part) else data


def streamed(data: Data) -> bool:
    """Return whether examples stay on disk."""
    return isinstance(data.train.get("x"), Streamed)


def parts(part: Batch) -> Iterator[tuple[Array, Array]]:
    """Yield "x" and "y" of all examples."""
    x, y = part["x"], part["y"]
    if not isinstance(x, Streamed):
        yield x, y
        return
    for positions, features in x.parts():
        yield features, y[positions]


def total(part: Batch, function: Callable[[Array, Array], Any]) -> Any:
    """Return the sum over a part of what a function makes of some examples."""
    return reduce(add, (function(x, y) for x, y in parts(part)))


def add_to(sums: Params, part: Params) -> None:
    """Add a part's values to sums by name, in place."""
    for name, value in part.items():
        sums[name] = sums[name] + value if name in sums else value


def mean_of(shares: Iterable[tuple[float, Params]]) -> Params:
    """Return means by name, of parts that are the given shares of all."""
    means: Params = {}
    for share, part in shares:
        add_to(means, scaled(share, part))
    return means


def scaled(share: float, part: Params) -> Params:
    """Return the share that a part's means have in those of all."""
    return part if share == 1.0 else {name: share * value for name, value in part.items()}


def numbers_held(array: Array) -> int:
    """Return how many numbers of an array, with its copies, are in memory."""
    return array.held if isinstance(array, Streamed) else 3 * int(array.size)
