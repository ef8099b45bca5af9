"""Splits examples into a training and a test part, fills and scales their columns.

With --stratify both parts have the same share of each class.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from gdcli.datasets.cells import MOST, Classes, note, ranks, tell_absent, tell_alike
from gdcli.datasets.out_of_core import OnDisk, Streamed
from gdcli.datasets.reading import TEST_FRACTION
from gdcli.datasets.sparse import Sparse
from gdcli.errors import UserError
from gdcli.fields import LATER, counted, show, typed
from gdcli.problem import Array, Batch, Data

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FEWEST, LARGEST = 16, 1000  # numbers in the bound of the rounding error
ENOUGH = 10  # rows; so many words are not different by chance

Scale: TypeAlias = Literal["standard", "minmax", "none"]
FeatureScale: TypeAlias = Annotated[
    Scale,
    "scale each feature, by its values in the training part: standard, to mean 0 and variance 1; "
    "minmax, to 0 to 1; or none",
]


@dataclass(frozen=True, eq=False)
class Columns:
    """Features that need statistics of the training part: means, and categories."""

    file: str
    held: Mapping[str, Array | list[str]]  # (examples, numbers) float64 with nan, or categories

    def __len__(self) -> int:
        """Return the number of examples."""
        return len(next(iter(self.held.values())))

    def followed_by(self, other: Columns) -> Columns:
        """Return the examples of both, first these, then the others."""
        import numpy as np

        held: dict[str, Array | list[str]] = {}
        for name, values in self.held.items():
            more = other.held[name]
            if isinstance(values, list) and isinstance(more, list):
                held[name] = values + more
            else:
                held[name] = np.concatenate([values, more])
        return Columns(self.file, held)

    def parts(self, train: NDArray[np.int64], test: NDArray[np.int64]) -> tuple[Array, Array]:
        """Return the features of both parts, float64, with statistics of the training part.

        A missing value becomes the column's mean there. A column of categories becomes a column of
        0 and 1 for each category there; another category has 0 in all of them.
        """
        import numpy as np

        both: list[tuple[Array, Array]] = []
        for name, values in self.held.items():
            if isinstance(values, list):
                both.append(self._one_hot(name, values, train, test))
            else:
                filled = self._filled(name, values, train)
                both.append((filled[train], filled[test]))
        first, second = (
            np.concatenate(part, axis=1, dtype=np.float64) for part in zip(*both, strict=True)
        )
        return first, second

    def _filled(self, name: str, values: Array, train: NDArray[np.int64]) -> Array:
        import numpy as np

        absent = np.isnan(values)
        if not absent.any():
            return values
        there = (~absent[train]).sum(axis=0)
        if not there.all():
            what = f"column {show(name)} has no value in the training part, so it has no mean"
            raise UserError("--missing", what, f"give --drop {typed(name)}")
        # Divide before the sum, which could overflow.
        mean = np.where(absent[train], 0.0, values[train] / there).sum(axis=0)
        return np.where(absent, mean, values)

    def _one_hot(
        self,
        name: str,
        labels: list[str],
        train: NDArray[np.int64],
        test: NDArray[np.int64],
    ) -> tuple[Array, Array]:
        import numpy as np

        known = ranks({labels[i] for i in train.tolist()})
        if len(set(known.values())) > MOST:
            what = f"column {show(name)} has {len(known)} different values in the training part"
            raise UserError("--categorical", what, f"give --drop {typed(name)}")
        tell_alike(known, name, "category")
        if len(labels) >= ENOUGH and len(set(labels)) == len(labels):
            what = f"{self.file}: column {show(name)} has a different word in each row, like an id"
            note(f"{what}; --drop {typed(name)} leaves it out")
        strangers = {labels[i] for i in test.tolist()} - set(known)
        if strangers:
            has = counted(len(strangers), "category", "categories")
            one = show(min(strangers))
            what = f"{self.file}: column {show(name)} has {has} in the test part only, such as"
            note(f"{what} {one}; all columns made of it are 0 there")
        width = 1 + max(known.values())
        first, second = (
            np.array([known.get(labels[i], -1) for i in rows.tolist()], np.int64)
            for rows in (train, test)
        )
        return first[:, None] == np.arange(width), second[:, None] == np.arange(width)


@dataclass(frozen=True, eq=False)
class Apart:
    """Features of separate training and test parts that the user gave, float64."""

    train: Array
    test: Array
    file: str
    said: str  # the note that says that the test part is used

    def __len__(self) -> int:
        """Return the number of examples in both parts."""
        return len(self.train) + len(self.test)


def prepare(
    x: Array, y: Array, test_fraction: float, scale: Scale, rng: np.random.Generator
) -> Data:
    """Return shuffled examples: the last round(n * test_fraction) are the test part, if any.

    x: (n, ...) numbers, or Columns of n rows, float64 in the result; y: (n, ...) of any type.
    Separate parts that the user gave (Apart) keep their examples and order; with the fraction 0
    there is no test part. Raises UserError if no training example is left.
    """
    if isinstance(x, Apart):
        import numpy as np

        count = len(x.train)
        tests = keeps_test_part(test_fraction, x.file, x.said)
        rows = np.arange(count), np.arange(len(x.test) if tests else 0)
        if isinstance(x.train, OnDisk):
            return _streamed((x.train, x.test), (y[:count], y[count:]), rows, scale)
        own = {"x": x.test, "y": y[count:]} if tests else {}
        data = scaled({"x": x.train, "y": y[:count]}, own, scale)
        return replace(data, order=np.arange(count))
    return divided(x, y, parts(len(x), test_fraction, rng), scale)


def divided(x: Array, y: Array, both: tuple[Array, Array], scale: Scale) -> Data:
    """Return the examples of both parts, given the row indices `both` of each."""
    train, test = both
    if isinstance(x, OnDisk):
        return replace(_streamed((x, x), (y, y), both, scale), order=train)
    first, second = x.parts(train, test) if isinstance(x, Columns) else (x[train], x[test])
    held_out = {"x": second, "y": y[test]} if len(test) else {}
    return replace(scaled({"x": first, "y": y[train]}, held_out, scale), order=train)


def keeps_test_part(test_fraction: float, file: str, said: str) -> bool:
    """Return whether the data's own test part is used; it is, unless the fraction is 0.

    Notes it. Raises UserError for another fraction than 0 or the default.
    """
    if test_fraction not in (0, TEST_FRACTION):
        what = f"{test_fraction:g} is not held out of {file}, which has its own test part"
        raise UserError("--test-fraction", what, "leave it out, or give 0 for no test part")
    if said and test_fraction:
        note(said)
    return test_fraction > 0


def parts(examples: int, test_fraction: float, rng: np.random.Generator) -> tuple[Array, Array]:
    """Return the indices of the training and of the test examples in random order."""
    held_out = round(examples * test_fraction)
    if held_out >= examples:
        what = f"{test_fraction:g} of {examples} examples leaves none for training"
        raise UserError("--test-fraction", what, "give a smaller part, or 0 for no test part")
    order = rng.permutation(examples)
    return order[: examples - held_out], order[examples - held_out :]


def scaled(train: Batch, test: Batch, scale: Scale) -> Data:
    """Return both parts with their columns scaled; the test part may be empty.

    `standard` gives each column mean 0 and standard deviation 1, `minmax` the range from 0 to 1.
    Both use statistics of the training part only. A constant column is shifted to 0, not scaled.
    Sparse columns are divided, and not moved.
    """
    size, origin, unit = scaling(train["x"], scale)
    both = ({**p, "x": rescaled(p["x"], size, origin, unit)} if p else p for p in (train, test))
    return Data(*both)


def scaling(x: Array, scale: Scale) -> tuple[Array, Array, Array]:
    """Return size, origin and unit of each column: x becomes (x / size - origin) / unit."""
    if isinstance(x, Sparse):
        return _of_sparse(x, scale)
    # Scale by a power of 2 first: the square of a very large number would overflow, that
    # of a very small one would become 0.
    size = _size(x) if scale != "none" else 1.0
    return size, *_scaling(x / size, scale)


def rescaled(x: Array, size: Array, origin: Array, unit: Array) -> Array:
    """Return features with the scaling of each column; sparse ones stay sparse, uncentred."""
    if not isinstance(x, Sparse):
        return (x / size - origin) / unit
    return x if isinstance(unit, float) else x.divided(size).divided(unit)


def _of_sparse(x: Sparse, scale: Scale) -> tuple[Array, Array, Array]:
    """Return the scaling of sparse columns: none is moved, since their zeros must stay zeros.

    `standard` divides by the standard deviation, `minmax` by the largest absolute value.
    """
    import numpy as np

    if scale == "none":
        return 1.0, 0.0, 1.0
    size = _power(x.largest())
    small = x.divided(size)
    high = small.largest()
    unit = small.deviations() if scale == "standard" else high
    return size, 0.0, np.where((high > 0) & (unit > 0), unit, 1.0)


def _streamed(
    x: tuple[OnDisk, OnDisk],
    y: tuple[Array, Array],
    both: tuple[Array, Array],
    scale: Scale,
) -> Data:
    """Return parts with features on disk, scaled like `scaled`.

    Both parts may share the matrix and the targets; each part uses its own rows.
    """
    size, origin, unit = (1.0, 0.0, 1.0) if scale == "none" else _passes(x[0], both[0], scale)
    found = [
        {"x": Streamed(matrix, rows, size, origin, unit), "y": targets[rows]} if len(rows) else {}
        for matrix, targets, rows in zip(x, y, both, strict=True)
    ]
    return Data(*found)


def _passes(x: OnDisk, rows: Array, scale: Scale) -> tuple[Array, Array, Array]:
    """Return the scaling of rows on disk, like _size and _scaling, in one to three passes."""
    import numpy as np

    ends = [(part.min(axis=0), part.max(axis=0)) for _, part in x.parts(rows)]
    low, high = np.min([e[0] for e in ends], axis=0), np.max([e[1] for e in ends], axis=0)
    size = _power(np.maximum(-low, high))
    low, high = low / size, high / size
    if scale == "minmax":
        return size, low, _unit(high - low, low, high, len(rows))
    mean = sum((part / size).sum(axis=0) for _, part in x.parts(rows)) / len(rows)
    square = sum(((part / size - mean) ** 2).sum(axis=0) for _, part in x.parts(rows))
    return size, mean, _unit(np.sqrt(square / len(rows)), low, high, len(rows))


def _size(x: Array) -> Array:
    """Return the power of 2 above the largest number of each column; 1 for a column of zeros.

    Dividing by it is exact.
    """
    return _power(abs(x).max(axis=0))


def _power(largest: Array) -> Array:
    import numpy as np

    return 2.0 ** np.clip(np.frexp(largest)[1], -1000, 1000)


def _scaling(x: Array, scale: Scale) -> tuple[Array, Array]:
    """Return the offset and the divisor of each column."""
    if scale == "none":
        return 0.0, 1.0
    low, high = x.min(axis=0), x.max(axis=0)
    origin, unit = (x.mean(axis=0), x.std(axis=0)) if scale == "standard" else (low, high - low)
    return origin, _unit(unit, low, high, len(x))


def _unit(unit: Array, low: Array, high: Array, examples: int) -> Array:
    """Return the divisor of each column; 1 for a constant one.

    A column whose values differ only by rounding counts as constant. The bound is scikit-learn's,
    the rounding error of a mean of n numbers; NumPy adds in pairs, so n is at most a thousand.
    """
    import numpy as np

    rounding = np.finfo(float).eps * min(max(examples, FEWEST), LARGEST)
    size = np.maximum(np.abs(low), np.abs(high))
    return np.where((high > low) & (unit > rounding * size), unit, 1.0)


LISTED = 5  # classes that a note names


@dataclass(frozen=True, kw_only=True)
class Stratified:
    """The option --stratify of a problem with classes."""

    stratify: Annotated[
        bool,
        LATER,
        "split so that the training and the test part have the same share of each class, as far "
        "as possible",
    ] = False

    def check_stratified(self, own_test_part: str | None, test_fraction: float) -> None:
        """Raise UserError if nothing is split; `own_test_part` names a set with a test part."""
        if not self.stratify:
            return
        if own_test_part is not None:
            what = f"{own_test_part} has its own test part, so there is no split"
            raise UserError("--stratify", what, "leave it out")
        if not test_fraction:
            what = "--test-fraction 0 holds out no example"
            raise UserError("--stratify", what, "leave it out, or give a larger --test-fraction")

    def split(
        self,
        x: Array,
        y: Array,
        classes: Classes,
        how: tuple[float, Scale],
        rng: np.random.Generator,
    ) -> Data:
        """Return the split examples; `how` is the test fraction and the scale.

        y: targets of any type. Raises UserError if the examples have their own test part, and
        --stratify is given.
        """
        test_fraction, scale = how
        if isinstance(x, Apart):
            self.check_stratified(x.file, test_fraction)
            data = prepare(x, y, test_fraction, scale, rng)
        else:
            data = divided(x, y, self.drawn(classes, test_fraction, rng), scale)
        tell_absent(data, classes, stratified=self.stratify)
        return replace(data, classes=classes.names)

    def drawn(
        self, classes: Classes, test_fraction: float, rng: np.random.Generator
    ) -> tuple[Array, Array]:
        """Return the random indices of the training and of the test examples."""
        import numpy as np

        both = parts(len(classes.places), test_fraction, rng)
        return stratified(np.concatenate(both), classes, len(both[1])) if self.stratify else both


def stratified(order: NDArray[np.int64], classes: Classes, held_out: int) -> tuple[Array, Array]:
    """Return the training and the test examples of an order; the last of each class are held out.

    Notes which classes are too small for the test part.
    """
    import numpy as np

    labels = classes.places[order]
    counts = np.bincount(labels, minlength=len(classes.names))
    held = shares(counts, held_out)
    by_class = np.argsort(labels, kind="stable")  # each class in the random order
    rank = np.empty(len(order), np.int64)
    rank[by_class] = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    last = rank >= (counts - held)[labels]
    _tell_small(counts, held, classes.names)
    return order[~last], order[last]


def shares(counts: NDArray[np.int64], held_out: int) -> NDArray[np.int64]:
    """Return how many examples of each class are held out, by the method of largest remainders.

    If possible, a class of two examples or more has one in each part. The only example of a class
    is a training example.
    """
    import numpy as np

    quotas = counts * held_out / counts.sum()
    least, most = (counts > 1).astype(np.int64), np.maximum(counts - 1, 0)
    held: NDArray[np.int64] = np.clip(np.floor(quotas).astype(np.int64), least, most)
    while (missing := held_out - int(held.sum())) > 0:
        room = held < most if (held < most).any() else held < counts
        held[np.where(room, quotas - held, -np.inf).argmax()] += 1
    for _ in range(-missing):
        spare = held > least if (held > least).any() else held > 0
        held[np.where(spare, quotas - held, np.inf).argmin()] -= 1
    return held


def _tell_small(counts: NDArray[np.int64], held: NDArray[np.int64], names: tuple[str, ...]) -> None:
    small = ((counts > 0) & (held == 0)).nonzero()[0].tolist()
    if small and held.any():
        listed = ", ".join(show(names[i]) for i in small[:LISTED])
        listed += ", ..." if len(small) > LISTED else ""
        few = counted(int(counts[small].max()), "example", "examples")
        of = "class" if len(small) == 1 else "classes"
        at_most = "" if len(small) == 1 else "at most "
        has = "has" if len(small) == 1 else "have"
        note(
            f"--stratify: the {of} {listed} {has} {at_most}{few}: too few for the test part, "
            "all are training examples"
        )
