"""Sparse matrices from files: Matrix Market (.mtx), and the .npz files of scipy.sparse.save_npz.

Each row is an example. The columns have numbers from 0 as names, and one of them is the target. An
.npz file may hold further arrays beside the matrix, such as the target: then the matrix is called
`features`, and they have their own names.
"""

from __future__ import annotations

import math
import re
import zipfile
from array import array
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, NamedTuple

from gdcli.datasets.contents import WRONG_ZIP, check_ratio, check_room, opened, seekable
from gdcli.datasets.libsvm import FEATURES, LONGEST, held_as_pays
from gdcli.datasets.npy import NUMBERS, SUFFIX, ArrayTable, member, read_arrays
from gdcli.datasets.sparse import Sparse
from gdcli.errors import UserError
from gdcli.fields import counted, show

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from gdcli.datasets.reading import Reading
    from gdcli.problem import Array

COMPRESSED = frozenset({"data", "indices", "indptr"})
BY_PLACES = frozenset({"data", "row", "col"})
ABOUT = frozenset({"format", "shape"})
SAVE = "save it with scipy.sparse.save_npz, as matrix.tocsr()"


@dataclass(frozen=True)
class ColumnsTable(ArrayTable):
    """A sparse matrix, whose columns have their numbers, from 0, as names."""

    @property
    def matrix(self) -> Sparse:
        """All columns."""
        held: Sparse = self.arrays[FEATURES]
        return held

    def numbers(
        self, names: Sequence[str], *, holes: bool = False, predicted: bool = False
    ) -> Array:
        """Return columns with their zeros, float64; all stored numbers are finite."""
        for name in names:
            self.place(name)
        if len(names) == 1:
            return self.matrix.column(int(names[0]))[:, None]
        check_room(8 * len(self) * len(names), self.file)
        return self.sparse(names).full()

    def labels(self, name: str) -> NDArray[np.generic]:
        """Return the values of a column."""
        return self.matrix.column(self.place(name))

    def width(self, name: str) -> int:
        """Return 1."""
        return 1

    def expanded(self, name: str) -> list[str]:
        """Return the column's own name."""
        return [name]

    def is_text(self, name: str) -> bool:
        """Return False."""
        return False

    def missing(self, name: str, *, text: bool = False) -> NDArray[np.bool_]:
        """Return that no row lacks a value."""
        import numpy as np

        return np.zeros(len(self), bool)

    def sparse(self, names: Sequence[str]) -> Sparse:
        """Return some of the columns, in their order in the file."""
        import numpy as np

        return self.matrix.chosen(np.array([self.place(name) for name in names]))


def table_of(sparse: Sparse, file: Path) -> ArrayTable:
    """Return the columns of a matrix, sparse where that pays."""
    names = tuple(map(str, range(sparse.width)))
    held = held_as_pays(sparse, file)
    if isinstance(held, Sparse):
        return ColumnsTable(file, names, {FEATURES: held})
    return ArrayTable(file, names, {name: held[:, i] for i, name in enumerate(names)})


def read_npz(file: Path, reading: Reading) -> ArrayTable:
    """Return the arrays of an .npz file, or the columns of a matrix that scipy saved there."""
    try:
        with seekable(file, "--data") as stream, zipfile.ZipFile(stream) as archive:
            members = {info.filename.removesuffix(SUFFIX): info for info in archive.infolist()}
            if not members.keys() >= ABOUT | {"data"}:
                return read_arrays(file, reading)
            kept = {n: info for n, info in members.items() if n not in reading.dropped}
            size = sum(info.file_size for info in kept.values())
            check_ratio(size, stream.seek(0, 2), file)
            check_room(3 * size, file)  # as read, by rows, and sorted
            arrays = {name: member(archive, info, file) for name, info in kept.items()}
    except WRONG_ZIP:
        return read_arrays(file, reading)  # which reports the error
    return read_saved(arrays, file)


def read_saved(arrays: Mapping[str, Array], file: Path) -> ArrayTable:
    """Return the columns of a matrix that scipy saved; raises UserError for a damaged one."""
    entries = _saved_entries(arrays, file)
    matrix = Sparse.from_entries(*entries)
    others = {n: a for n, a in arrays.items() if n not in COMPRESSED | BY_PLACES | ABOUT}
    if not others:
        return table_of(matrix, file)
    for name, held in others.items():
        if not held.ndim or len(held) != len(matrix):
            has = counted(len(held), "row", "rows") if held.ndim else "one value"
            what = f"the array {show(name)} has {has}, the sparse matrix {len(matrix)}"
            raise UserError(str(file), what, "keep only arrays with a row for each example")
    columns = {FEATURES: held_as_pays(matrix, file), **others}
    return ArrayTable(file, tuple(columns), columns)


class _Saved(NamedTuple):
    """The entries of a matrix in any order, as `Sparse.from_entries` takes them."""

    rows: Array
    columns: Array
    values: Array
    shape: tuple[int, int]


def _saved_entries(arrays: Mapping[str, Array], file: Path) -> _Saved:
    """Return the entries of a saved matrix, checked."""
    form = "".join(arrays["format"].reshape(-1)[:1].astype(str).tolist())
    wanted = BY_PLACES if form == "coo" else COMPRESSED
    if form not in {"csr", "csc", "coo"} or not wanted <= arrays.keys():
        what = f"its sparse matrix has the format {show(form)}"
        raise UserError(str(file), what, SAVE)
    shape = tuple(arrays["shape"].reshape(-1).tolist())
    if len(shape) != 2 or not all(isinstance(n, int) and 0 < n < 2**31 for n in shape):
        what = f"its sparse matrix has the shape {' x '.join(map(str, shape))}"
        raise UserError(str(file), what, "save a matrix with a row for each example")
    if form == "coo":
        rows, columns = arrays["row"], arrays["col"]
    else:
        lines = shape[0] if form == "csr" else shape[1]
        first, second = (
            _lines(arrays["indptr"], lines, len(arrays["data"]), file),
            arrays["indices"],
        )
        rows, columns = (first, second) if form == "csr" else (second, first)
    found = _Saved(rows, columns, arrays["data"], shape)
    _check_saved(found, file)
    return found


def _check_saved(found: _Saved, file: Path) -> None:
    """Raise UserError for places outside of the matrix, and for values that are not finite."""
    import numpy as np

    values = found.values
    if values.dtype.kind not in NUMBERS or values.ndim != 1:
        raise UserError(str(file), f"its matrix holds {values.dtype}, not numbers", SAVE)
    both = ("row", found.rows, found.shape[0]), ("column", found.columns, found.shape[1])
    for name, places, most in both:
        if places.dtype.kind not in "iu" or places.shape != values.shape:
            raise UserError(str(file), f"its {name} indices are damaged", SAVE)
        if len(places) and not 0 <= places.min() <= places.max() < most:
            what = f"a {name} index is {places.max() if places.min() >= 0 else places.min()}"
            raise UserError(str(file), f"{what}, but the matrix has {most} {name}s", SAVE)
    if not (finite := np.isfinite(values)).all():
        first = int(finite.argmin())
        what = f"row {found.rows[first]}, counted from 0, holds {values[first]}"
        raise UserError(str(file), f"{what}, which is not a finite number", "correct it")


def _lines(starts: Array, lines: int, entries: int, file: Path) -> NDArray[np.int64]:
    """Return the line, a row of CSR or a column of CSC, of each entry."""
    import numpy as np

    right = starts.dtype.kind in "iu" and starts.shape == (lines + 1,)
    starts = starts.astype(np.int64) if right else starts
    if not right or starts[0] != 0 or starts[-1] != entries or (np.diff(starts) < 0).any():
        raise UserError(str(file), "the array indptr of its sparse matrix is damaged", SAVE)
    return np.repeat(np.arange(lines), np.diff(starts))


class _Header(NamedTuple):
    """The first line of a Matrix Market file."""

    coordinate: bool  # places and values; else all values, column by column
    pattern: bool  # every value is 1
    mirrored: int  # 0: general; 1: symmetric; -1: skew-symmetric


START = "%%matrixmarket"
NUMBER = rb"[-+]?(?:\d{1,20}(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d{1,2})?"
PLACES = rb"[ \t]*\d{1,9}[ \t]+\d{1,9}"
END = rb"[ \t]*\r?\n"
# What a part of the file looks like that int() and float() read at once.
PLAIN = {
    1: re.compile(rb"(?:[ \t]*" + NUMBER + END + rb")+"),
    2: re.compile(rb"(?:" + PLACES + END + rb")+"),
    3: re.compile(rb"(?:" + PLACES + rb"[ \t]+" + NUMBER + END + rb")+"),
}
SIZE = 2**20  # bytes of a part
ENTRY = 60  # bytes of an entry in memory, roughly


def read_market(file: Path) -> ArrayTable:
    """Return the columns of a Matrix Market file; raises UserError, naming the line."""
    with opened(file, "--data") as stream:
        header = _header(stream.readline(LONGEST), file)
        sizes, line = _sizes(stream, header, file)
        entries = _Entries(header, sizes, file)
        entries.read(stream, line)
    return table_of(entries.matrix(), file)


def _header(line: bytes, file: Path) -> _Header:
    words = line.decode("ascii", "replace").lower().split()
    if words[:1] != [START]:
        what = "it does not begin with %%MatrixMarket"
        raise UserError(f"{file}:1", what, "write it with scipy.io.mmwrite")
    known = (
        {"matrix"},
        {"coordinate", "array"},
        {"real", "double", "integer", "pattern"},
        {"general", "symmetric", "skew-symmetric"},
    )
    for place, right in enumerate(known, start=1):
        word = words[place] if place < len(words) else ""
        if word not in right:
            what = (
                f"{show(word)} is not {' or '.join(sorted(right))}" if word else "it is too short"
            )
            fix = "write %%MatrixMarket matrix coordinate real general"
            raise UserError(f"{file}:1", what, fix)
    coordinate, pattern = words[2] == "coordinate", words[3] == "pattern"
    if not coordinate and (pattern or words[4] != "general"):
        what = f"gdcli does not read an array that is {words[3] if pattern else words[4]}"
        raise UserError(f"{file}:1", what, "save it as coordinate, or as general")
    mirrored = {"general": 0, "symmetric": 1, "skew-symmetric": -1}[words[4]]
    return _Header(coordinate, pattern, mirrored)


def _sizes(stream: IO[bytes], header: _Header, file: Path) -> tuple[tuple[int, int, int], int]:
    """Return rows, columns and entries, and the number of the line that says them."""
    count = 1
    while line := stream.readline(LONGEST):
        count += 1
        if line.startswith(b"%") or not line.strip():
            continue
        words = line.split()
        wanted = 3 if header.coordinate else 2
        if len(words) != wanted or not all(word.isdigit() and len(word) < 10 for word in words):
            said = "rows, columns and entries" if header.coordinate else "rows and columns"
            what = f"{show(line.decode('ascii', 'replace').strip())} is not the number of {said}"
            raise UserError(f"{file}:{count}", what, f"write the numbers of {said} there")
        rows, columns, *more = map(int, words)
        if not rows * columns:
            what = f"a matrix of {rows} x {columns} has no examples or no columns"
            raise UserError(f"{file}:{count}", what, "give a row for each example")
        if header.mirrored and rows != columns:
            what = f"a symmetric matrix is square, not {rows} x {columns}"
            raise UserError(f"{file}:{count}", what, "write general in the first line")
        return (rows, columns, more[0] if more else rows * columns), count
    raise UserError(f"{file}:{count}", "the numbers of rows and columns are missing", "add them")


class _Entries:
    """The entries of a Matrix Market file, as they are read."""

    def __init__(self, header: _Header, sizes: tuple[int, int, int], file: Path) -> None:
        self.header, self.file = header, file
        self.height, self.width, self.count = sizes
        check_room((ENTRY if header.coordinate else 8) * self.count, file)
        self.words = 1 if not header.coordinate else 2 if header.pattern else 3
        self.rows, self.columns, self.values = array("i"), array("i"), array("d")
        self.read_so_far = 0

    def read(self, stream: IO[bytes], line: int) -> None:
        """Read all entries, which follow the line of that number."""
        while lines := stream.readlines(SIZE):
            text = b"".join(lines)
            text += b"" if text.endswith(b"\n") else b"\n"
            before = self.read_so_far
            if PLAIN[self.words].fullmatch(text):
                self._add(text.split())
                numbers: Sequence[int] = range(line + 1, line + 1 + len(lines))
            else:
                numbers = [*self._add_slowly(lines, line)]
            self._check_places(before, numbers)
            line += len(lines)
        if self.read_so_far < self.count:
            has = counted(self.read_so_far, "entry", "entries")
            what = f"the file ends after {has} of {self.count}"
            raise UserError(f"{self.file}:{line}", what, "copy it again, or correct the number")

    def _add(self, words: Sequence[bytes]) -> None:
        if self.header.coordinate:
            self.rows.extend(map(int, words[:: self.words]))
            self.columns.extend(map(int, words[1 :: self.words]))
        if not self.header.pattern:
            self.values.extend(map(float, words[self.words - 1 :: self.words]))
        self.read_so_far += len(words) // self.words

    def _add_slowly(self, lines: Sequence[bytes], line: int) -> Iterator[int]:
        """Add entries line by line, and yield the numbers of their lines."""
        for number, text in enumerate(lines, start=line + 1):
            words = text.split()
            if not words or words[0].startswith(b"%"):
                continue
            if not self._is_entry(words):
                shown = show(text.decode("ascii", "replace").strip()[:LISTED])
                kind = ("a number", "row column", "row column value")[self.words - 1]
                raise UserError(f"{self.file}:{number}", f"{shown} is not {kind}", "correct it")
            self._add(words)
            yield number

    def _is_entry(self, words: Sequence[bytes]) -> bool:
        try:
            places = [int(word) for word in words[: self.words if self.words < 3 else 2]]
            value = float(words[-1])
        except ValueError:
            return False
        small = self.words == 1 or all(abs(place) < 2**31 for place in places)
        return len(words) == self.words and small and math.isfinite(value)

    def _check_places(self, before: int, numbers: Sequence[int]) -> None:
        """Raise UserError for a place outside of the matrix, or for too many entries."""
        import numpy as np

        if self.read_so_far > self.count:
            number = numbers[self.count - before]
            what = f"there are more than the {self.count} entries that the file names"
            raise UserError(f"{self.file}:{number}", what, "correct that number")
        if not self.header.coordinate:
            return
        for name, places, most in (
            ("row", self.rows, self.height),
            ("column", self.columns, self.width),
        ):
            new = np.array(places[before:])
            wrong = np.flatnonzero((new < 1) | (new > most))
            if len(wrong):
                what = f"there is no {name} {new[wrong[0]]}: they are numbered from 1 to {most}"
                raise UserError(f"{self.file}:{numbers[int(wrong[0])]}", what, "correct it")

    def matrix(self) -> Sparse:
        """Return the matrix; entries of one place are added up."""
        import numpy as np

        shape = self.height, self.width
        if not self.header.coordinate:
            return Sparse.of(np.array(self.values).reshape(shape[::-1]).T)
        rows, columns = np.array(self.rows) - 1, np.array(self.columns) - 1
        values = np.ones(len(rows)) if self.header.pattern else np.array(self.values)
        if self.header.mirrored:
            beside = rows != columns
            mirrored = columns[beside], rows[beside], self.header.mirrored * values[beside]
            pairs = zip((rows, columns, values), mirrored, strict=True)
            rows, columns, values = (np.concatenate(pair) for pair in pairs)
        return Sparse.from_entries(rows, columns, values, shape)


LISTED = 60  # characters of a wrong line that are shown
