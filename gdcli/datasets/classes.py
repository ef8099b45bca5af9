"""Which classes there are, and which one each example belongs to."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gdcli.datasets.cells import EXACT, identity, number
from gdcli.datasets.notes import note
from gdcli.errors import UserError
from gdcli.fields import show
from gdcli.problem import Array, Data

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ENOUGH = 10  # rows, of which it is told that they have many classes
MOST = 1000  # more different values than this are measurements, and would fill the memory


@dataclass(frozen=True, eq=False)
class Classes:
    """The class of each example, (examples,) int64, counted from 0, and what each is called."""

    places: Array
    names: tuple[str, ...]
    fixed: bool = False  # which examples test is the user's own choice


def number_classes(labels: Sequence[str] | NDArray[np.generic], column: str) -> Classes:
    """Return each label's class, counted from 0 in the order of the labels.

    Numbers are ordered as numbers, so that 10 follows 9 and not 1. Raises UserError when the
    column, so named, holds one value only or too many.
    """
    known, places = ranked(labels)
    if len(known) < 2:
        what = f"column {show(column)} has the one value {show(known[0])}"
        if others := sorted({*map(str, labels)} - {*known}) if isinstance(labels, Sequence) else []:
            what += f", as which {show(others[0])} counts"
        raise UserError("--target", what, "choose a column of two or more classes")
    if len(known) > MOST:
        what = f"column {show(column)} has {len(known)} different values, more than {MOST} classes"
        fix = "choose a column of classes; of numbers, run linear-regression or mlp"
        raise UserError("--target", what, f"{fix} with --task regression")
    if mostly_apart(len(known), len(labels)):
        what = f"column {show(column)} has {len(known)} different values in {len(labels)} rows"
        note(f"{what}; if they are measurements, run linear-regression or mlp --task regression")
    if isinstance(labels, Sequence):
        tell_alike(ranks(set(labels)), column)
    return Classes(places.astype("int64"), known)


def mostly_apart(classes: int, rows: int) -> bool:
    """Return whether there are so many classes for the rows that they may be measurements."""
    return rows >= ENOUGH and 2 * classes > rows


def ranked(labels: Sequence[str] | NDArray[np.generic]) -> tuple[tuple[str, ...], Array]:
    """Return the labels that differ, in their order, and the rank of each among them."""
    import numpy as np

    if isinstance(labels, Sequence):
        # Each once: in an array of texts all would be as wide as the longest.
        rank = ranks(set(labels))
        names = {place: name for name, place in reversed(rank.items())}
        return tuple(names[i] for i in range(len(names))), np.array([rank[x] for x in labels])
    known, places = np.unique(labels, return_inverse=True)
    if known.dtype.kind == "f" and (known % 1 == 0).all() and (np.abs(known) < EXACT).all():
        known = known.astype("int64")  # called 1, not 1.0
    return tuple(map(str, known)), places


def ranks(labels: Collection[str]) -> dict[str, int]:
    """Return the rank of each label: numbers by their size, unless one is none."""
    values = {label: number(label) for label in labels}
    if any(value is None or value != value for value in values.values()):  # noqa: PLR0124 -- nan
        return {label: i for i, label in enumerate(sorted(labels))}
    rank: dict[str, int] = {}
    places: dict[float | str, int] = {}
    for label in sorted(labels, key=lambda text: (values[text] or 0.0, text)):
        rank[label] = places.setdefault(identity(label), len(places))
    return rank


def tell_alike(rank: Mapping[str, int], column: str, kind: str = "class") -> None:
    """Say which labels are one class though they are written differently, or are not.

    That are the same numbers, and words that differ in capitals, blanks or forms of letters alone.
    """
    alike: dict[float | str, list[str]] = defaultdict(list)
    for label in rank:
        value = number(label)
        folded = " ".join(unicodedata.normalize("NFKC", label).casefold().split())
        alike[folded if value is None or value != value else value].append(label)  # noqa: PLR0124 -- nan
    for first, second, *_ in (texts for texts in alike.values() if len(texts) > 1):
        many = "categories" if kind == "category" else "classes"
        one = rank[first] == rank[second]
        what = f"one {kind}" if one else f"two {many}, as they are written differently"
        same = unicodedata.normalize("NFC", first) == unicodedata.normalize("NFC", second)
        shown = " and ".join(ascii(x) if same else show(x) for x in (first, second))
        note(f"in column {show(column)} {shown} are {what}")


def count_classes(data: Data) -> int:
    """Return the number of classes, of which the training part alone may lack some."""
    return 1 + max(int(part["y"].max()) for part in (data.train, data.test) if part)


def tell_absent(data: Data, classes: Classes, *, stratified: bool) -> None:
    """Say which classes no training example has, or no test example.

    Of a split by the classes' shares what the test part lacks was said before.
    """
    import numpy as np

    every = np.bincount(classes.places, minlength=len(classes.names))
    for word, part in (("training", data.train), ("test", data.test)):
        if not part or (stratified and word == "test"):
            continue
        there = np.bincount(part["y"].ravel().astype("int64"), minlength=len(classes.names))
        absent = np.flatnonzero((there == 0) & (every > 0)).tolist()
        if absent:
            listed = ", ".join(show(classes.names[i]) for i in absent[:5])
            listed += ", ..." if len(absent) > 5 else ""
            of = "class" if len(absent) == 1 else "classes"
            # The only example of a class is one to train on.
            helps = not stratified and (word == "training" or every[absent].max() > 1)
            fix = "; --stratify splits each class" if helps and not classes.fixed else ""
            note(f"no {word} example is of the {of} {listed}{fix}")


def with_one_hot(data: Data) -> Data:
    """Return the same examples with their classes in one-hot rows, of equal width in both parts."""
    count = count_classes(data)
    train, test = ({**p, "y": one_hot(p["y"], count)} if p else p for p in (data.train, data.test))
    return replace(data, train=train, test=test)


def one_hot(classes: Array, count: int) -> Array:
    """Return float64 of shape (examples, count): 1 in the column of each example's class."""
    import numpy as np

    return np.eye(count)[classes]
