"""Examples from a LIBSVM (svmlight) file: a label and `index:value` pairs on each line.

A feature that a line leaves out is 0. Indices count from 1, or from 0 if an index 0 occurs. The
column of the label is called `label`, the others by their index. `# comments` and `qid:` are
ignored.
"""

from __future__ import annotations

import math
import operator
import re
from array import array
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from gdcli.datasets.cells import Style, lost_digits, note, number
from gdcli.datasets.contents import check_room, opened
from gdcli.datasets.npy import ArrayTable
from gdcli.datasets.reading import LABEL
from gdcli.datasets.sparse import Sparse, pays
from gdcli.errors import UserError
from gdcli.fields import show

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from gdcli.datasets.tables import Table
    from gdcli.problem import Array

FEATURES = "features"
LONGEST = 2**26  # bytes of a line
PAIR = 50  # bytes of a pair in memory, roughly
COLUMN = 64  # bytes of a sparse column without entries: its scale, its weights
LOOK = 2**12  # lines after which the free memory is checked again
MOST_INDEX = 2**31 - 1


@dataclass
class _Pairs:
    """The pairs of all lines, and the labels."""

    labels: array[float] = field(default_factory=lambda: array("d"))
    written: dict[float, str] = field(default_factory=dict)  # first spelling of each label
    alike: dict[float, str] = field(default_factory=dict)  # other spellings
    starts: array[int] = field(default_factory=lambda: array("q", [0]))  # of the lines
    indices: array[int] = field(default_factory=lambda: array("i"))
    values: array[float] = field(default_factory=lambda: array("d"))


@dataclass(frozen=True, kw_only=True)
class LibsvmTable(ArrayTable):
    """The label, and the features as one matrix."""

    first: int  # the index of the first feature
    counted = "line"

    def beside(self, test: Table) -> tuple[Table, Table]:
        """Return both tables with the features of both; a missing feature is 0."""
        import numpy as np

        if not isinstance(test, LibsvmTable):
            return self, test
        both = self, test
        first = min(table.first for table in both)
        last = max(table.first + table.arrays[FEATURES].shape[1] for table in both)
        found: list[Table] = []
        for table in both:
            features, before = table.arrays[FEATURES], table.first - first
            wide: Array
            if isinstance(self.arrays[FEATURES], Sparse):
                held = features if isinstance(features, Sparse) else Sparse.of(features)
                wide = held.moved(before, last - first)
            else:
                more = (0, 0), (before, last - table.first - features.shape[1])
                check_room(8 * len(features) * (last - first), table.file)
                whole = features.full() if isinstance(features, Sparse) else features
                wide = np.pad(whole, more)
            arrays = {**table.arrays, FEATURES: wide}
            found.append(replace(table, arrays=arrays, first=first))
        return found[0], found[1]

    def expanded(self, name: str) -> list[str]:
        """Return the indices of the features."""
        if name != FEATURES:
            return super().expanded(name)
        return [str(self.first + i) for i in range(self.arrays[FEATURES].shape[1])]

    def others(self, target: str, dropped: Sequence[str] = ()) -> list[str]:
        """Return the matrix of the features; raises UserError unless the target is the label."""
        if target != LABEL:
            what = f"the target of {self.file} is its label, not {show(target)}"
            raise UserError("--target", what, "leave it out")
        if dropped:
            what = f"the features of {self.file} have no names"
            raise UserError("--drop", what, "leave it out")
        return [FEATURES]


def read_libsvm(file: Path) -> LibsvmTable:
    """Return the examples of a LIBSVM file; raises UserError, naming the line, if it is wrong."""
    import numpy as np

    pairs = _Pairs()
    lines = array("q")
    for count, line in _lines(file):
        _take(pairs, line, f"{file}:{count}")
        lines.append(count)
        if count % LOOK == 0:
            check_room(PAIR * len(pairs.indices), file)
    if not pairs.labels or not pairs.indices:
        raise UserError(str(file), "it contains no example", "give a label and index:value pairs")
    for value, label in pairs.alike.items():
        one = f"the labels {show(pairs.written[value])} and {show(label)} are the same number"
        note(f"{file}: {one}, so they are one class")
    indices, values = np.array(pairs.indices), np.array(pairs.values)
    first = 0 if indices.min() == 0 else 1
    indices -= first
    shape = len(pairs.labels), int(indices.max()) + 1
    sparse = Sparse(values, indices, np.array(pairs.starts), shape[1])
    arrays = {LABEL: np.array(pairs.labels), FEATURES: held_as_pays(sparse, file)}
    return LibsvmTable(file, (LABEL, FEATURES), arrays, first=first, kept=np.array(lines))


def held_as_pays(sparse: Sparse, file: Path) -> Array:
    """Return a matrix sparse where that pays, else as an array."""
    if not sparse.values.all():
        sparse = sparse.without_zeros()
    if pays(sparse.size, sparse.shape):
        check_room(COLUMN * sparse.width, file)
        return sparse
    check_room(8 * math.prod(sparse.shape), file)
    return sparse.full()


def _lines(file: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the lines that hold an example, without comments, each with its number."""
    count = 0
    with opened(file, "--data") as stream:
        while line := stream.readline(LONGEST):
            count += 1
            if len(line) == LONGEST:
                what = f"the line has {LONGEST} bytes or more"
                raise UserError(
                    f"{file}:{count}", what, "give a text file with one example on each line"
                )
            if bare := line.partition(b"#")[0].strip():
                yield count, bare


# Pairs that int() and float() read as `_take_pairs` does, and much faster.
NUMBER = rb"[-+]?(?:\d{1,20}(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d{1,2})?"
PLAIN = re.compile(rb"(?: *\d{1,9}:" + NUMBER + rb"(?= |$))+")


def _take(pairs: _Pairs, line: bytes, where: str) -> None:
    """Add an example."""
    label, _, rest = line.replace(b"\t", b" ").partition(b" ")
    _take_label(pairs, label.decode("utf-8", "backslashreplace"), where)
    if not _take_plain(pairs, rest):
        _take_pairs(pairs, rest.decode("utf-8", "backslashreplace").split(), where)
    pairs.starts.append(len(pairs.indices))


def _take_plain(pairs: _Pairs, text: bytes) -> bool:
    """Add the pairs of a plain line, if they are right; return whether they are."""
    if not PLAIN.fullmatch(text):
        return False
    words = text.replace(b":", b" ").split()
    indices = list(map(int, words[::2]))
    if any(map(operator.ge, indices, indices[1:])):
        return False
    pairs.indices.extend(indices)
    pairs.values.extend(map(float, words[1::2]))
    return True


def _take_label(pairs: _Pairs, label: str, where: str) -> None:
    """Add a label."""
    if ":" in label:
        raise UserError(where, "there is no label before the pairs", "add it, or take out the line")
    if "," in label:
        what = f"{show(label)} are several labels, which gdcli does not read"
        raise UserError(where, what, "give each example one label")
    pairs.labels.append(target := _number(label, where))
    if pairs.written.setdefault(target, label) != label:
        pairs.alike.setdefault(target, label)
    if lost_digits([label], Style()):
        what = f"the label {label} is more than 2^53, too large to be exact in float64"
        raise UserError(where, what, "number the labels, or write them as text in a CSV file")


def _take_pairs(pairs: _Pairs, rest: Sequence[str], where: str) -> None:
    """Add pairs one by one; raises UserError for the first wrong one."""
    last = -1
    for word in rest:
        index, colon, value = word.partition(":")
        if index == "qid" and colon:
            continue
        if not (colon and index.isascii() and index.isdecimal() and len(index) <= 10):
            raise UserError(where, f"{show(word)} is not index:value", "write pairs such as 3:0.5")
        if int(index) <= last or int(index) > MOST_INDEX:
            what = f"the index {index} follows {last}" if int(index) <= last else f"{index} is huge"
            raise UserError(where, what, "write ascending indices from 1")
        last = int(index)
        pairs.indices.append(last)
        pairs.values.append(_number(value, where))


def _number(text: str, where: str) -> float:
    value = number(text)
    if value is None or not math.isfinite(value):
        raise UserError(where, f"{show(text)} is not a finite number", "correct it")
    return value
