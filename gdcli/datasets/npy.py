"""Examples from a NumPy file: a matrix (.npy), or named arrays with equally many rows (.npz).

Nothing is unpickled. The size in a header is compared with the file before memory is allocated.
"""

from __future__ import annotations

import io
import math
import re
import struct
import tokenize
import zipfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import IO, TYPE_CHECKING, Self

from gdcli.datasets.cells import instead, is_missing, note
from gdcli.datasets.contents import WRONG_ZIP, check_ratio, check_room, seekable
from gdcli.datasets.out_of_core import Header
from gdcli.datasets.sparse import Sparse
from gdcli.datasets.tables import FILL, Table, tell_words
from gdcli.errors import UserError
from gdcli.fields import counted, show, typed
from gdcli.problem import Array

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from gdcli.datasets.reading import Reading


NUMBERS = "biuf"  # kinds of dtype: booleans, integers, floating point
SUFFIX = ".npy"
LONGEST = 2**14  # bytes of a header; NumPy itself accepts 10,000


@dataclass(frozen=True)
class ArrayTable(Table):
    """Arrays with equally many rows; each is one column or several, under its name."""

    arrays: Mapping[str, Array]
    held_out: ArrayTable | None = None  # the file's own test part, under the same names
    pairs: Mapping[str, str] = field(
        default_factory=dict
    )  # names in the file of the test part's arrays

    @property
    def test(self) -> ArrayTable | None:
        """The test part in the file itself, if any."""
        return self.held_out

    @property
    def said(self) -> str:
        """The note that says that this test part is used."""
        if self.held_out is None:
            return ""
        has = counted(len(self.held_out), "example", "examples")
        listed = ", ".join(map(show, self.pairs.values()))
        return f"{self.file} has its own test part: {has} of {listed}"

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(next(iter(self.arrays.values())))

    def numbers(
        self, names: Sequence[str], *, holes: bool = False, predicted: bool = False
    ) -> Array:
        """Return arrays side by side, images as rows, as float64 of shape (rows, numbers)."""
        import numpy as np

        parts = [self._rows_of(name, predicted=predicted) for name in names]
        values = np.concatenate(parts, axis=1, dtype=np.float64)
        finite = np.where(np.isnan(values), 0.0, values) if holes else values
        check_finite(finite, self.row_numbers, self.file)
        for name, part in zip(names, parts, strict=True):
            if part.dtype.kind in "iu" and part.dtype.itemsize == 8:
                self.tell_lost(name, part)
        return values

    def tell_lost(self, name: str, values: NDArray[np.generic]) -> None:
        """Note integers that are too large for the precision of float64."""
        import numpy as np

        held: Array = values
        large = held[(held >= 2**53) | (held <= -(2**53))]
        if lost := [v for v in np.unique(large).tolist() if int(float(v)) != v]:
            what = f"{self.file}: column {show(name)} holds integers beyond 2^53, such as {lost[0]}"
            note(f"{what}, which float64 rounds")

    def width(self, name: str) -> int:
        """Return the number of values in a row of an array."""
        return math.prod(self.arrays[name].shape[1:]) if name in self.arrays else 1

    def labels(self, name: str) -> Sequence[str] | NDArray[np.generic]:
        """Return the values of an array of one column."""
        self.place(name)
        values: NDArray[np.generic] = self.arrays[name]
        if self.width(name) != 1:
            shape = " x ".join(map(str, values.shape))
            what = f"{show(name)} of {self.file} has the shape {shape}, so it is not one column"
            fix = "name an array with one value in each row"
            if values.ndim == 2 and name in self.columns:
                fix += ", such as numpy.argmax(..., axis=1) of one column a class"
            raise UserError("--target", what, fix)
        values = values.reshape(-1)
        if values.dtype.kind in "SU":
            return self._texts(name, values)
        if values.dtype.kind in "mM":  # times, as NumPy writes them
            return [str(value) for value in values]
        if values.dtype.kind not in NUMBERS:
            what = f"the array {show(name)} holds {values.dtype}, not text or numbers"
            raise UserError(str(self.file), what, "save its classes as text or numbers")
        if values.dtype.kind == "f":
            self.numbers([name])  # each of them finite
        return values

    def expanded(self, name: str) -> list[str]:
        """Return the name of an array, with the index of each number if a row has several."""
        import numpy as np

        self.place(name)
        shape = self.arrays[name].shape[1:]
        places = (",".join(map(str, place)) for place in np.ndindex(*shape))
        return [f"{name}[{place}]" for place in places] if shape else [name]

    def _texts(self, name: str, values: NDArray[np.generic]) -> list[str]:
        """Return non-empty texts; bytes are decoded."""
        coded = values.dtype.kind == "S"
        texts = [v.decode("utf-8", "backslashreplace") if coded else v for v in values.tolist()]
        words = {text for text in set(texts) if is_missing(text)}
        if "" in words:
            what = f"row {texts.index('')}, counted from 0, has no value in column {show(name)}"
            raise UserError(str(self.file), what, FILL)
        tell_words(words, self.file, name)
        return texts

    def is_text(self, name: str) -> bool:
        """Return whether an array holds text."""
        self.place(name)
        return self.arrays[name].dtype.kind in "US" and self.width(name) == 1

    def missing(self, name: str, *, text: bool = False) -> NDArray[np.bool_]:
        """Return a mask of the rows with a nan or an empty text."""
        import numpy as np

        self.place(name)
        if isinstance(self.arrays[name], Sparse):  # whose numbers are finite
            return np.zeros(len(self), bool)
        values = self.arrays[name].reshape(len(self), -1)
        if values.dtype.kind == "f":
            return np.asarray(np.isnan(values).any(axis=1))
        if values.dtype.kind in "US":
            return np.asarray((values == values.dtype.type()).any(axis=1))
        return np.zeros(len(self), bool)

    def sparse(self, names: Sequence[str]) -> Sparse | None:
        """Return arrays side by side, sparse where one of them is; None: none of them is."""
        found = [self.arrays[name] for name in names]
        if not any(isinstance(array, Sparse) for array in found):
            return None
        pairs = zip(names, found, strict=True)
        parts = [a if isinstance(a, Sparse) else Sparse.of(self.numbers([n])) for n, a in pairs]
        return Sparse.side_by_side(parts)

    def take(self, rows: NDArray[np.bool_]) -> Self:
        """Return some of the rows."""
        arrays = {name: array[rows] for name, array in self.arrays.items()}
        return replace(self, arrays=arrays, kept=self.row_numbers()[rows])

    def _rows_of(self, name: str, *, predicted: bool) -> Array:
        self.place(name)
        values = self.arrays[name]
        if values.dtype.kind not in NUMBERS:
            what = f"the array {show(name)} holds {values.dtype}, not numbers"
            fix = instead(name, predicted=predicted, words=self.is_text(name))
            raise UserError(str(self.file), what, fix)
        if isinstance(values, Sparse):
            check_room(8 * math.prod(values.shape), self.file)
            return values.full()
        return values.reshape(len(values), -1)


def check_finite(values: Array, numbers: Callable[[], Array], file: Path) -> None:
    """Raise UserError unless all values are finite; `numbers` gives the row numbers from 0."""
    import numpy as np

    if not (finite := np.isfinite(values)).all():
        row = int(finite.all(axis=1).argmin())
        wrong = values[row, int(finite[row].argmin())]
        what = f"row {numbers()[row]}, counted from 0, holds {wrong}, which is not a finite number"
        fix = FILL if np.isnan(wrong) else "correct it, or take out the row"
        raise UserError(str(file), what, fix)


def read_matrix(file: Path) -> ArrayTable:
    """Return the columns of a matrix in an .npy file; their names are numbers from 0."""
    import numpy as np

    with seekable(file, "--data") as stream:
        header = read_header(stream, file, stream.seek(0, 2))
        check_columns(header, file)
        check_room(8 * math.prod(header.shape), file)
        if isinstance(stream, io.BytesIO):
            flat = np.frombuffer(stream.getbuffer(), header.dtype, offset=header.start)
            values = flat.reshape(header.shape, order=header.order)  # type: ignore[call-overload]
        else:
            kept = header.dtype, "r", header.start, header.shape
            values = np.memmap(file, *kept, order=header.order)  # type: ignore[call-overload]
    names = tuple(map(str, range(header.shape[1])))
    return ArrayTable(file, names, {name: values[:, i] for i, name in enumerate(names)})


def check_columns(header: Header, file: Path) -> None:
    """Raise UserError unless a file holds a matrix of numbers with at least two columns."""
    shape = " x ".join(map(str, header.shape))
    if len(header.shape) != 2 or 0 in header.shape:
        what = (
            f"its array has the shape {shape or 'of one value'}, so it holds no matrix of examples"
        )
        fix = "give a matrix with a row for each example and a target column"
        if len(header.shape) > 2:
            fix = "put it into an .npz file, together with an array of the targets"
        raise UserError(str(file), what, fix)
    if header.dtype.kind not in NUMBERS:
        what = f"its array holds {header.dtype}, not numbers"
        raise UserError(str(file), what, "make them numbers")


def read_arrays(file: Path, reading: Reading) -> ArrayTable:
    """Return the arrays of an .npz file by name, without the dropped ones.

    If all arrays come in pairs such as x_train and x_test, the second ones are the test part.
    """
    try:
        with seekable(file, "--data") as stream, zipfile.ZipFile(stream) as archive:
            members = {
                info.filename.removesuffix(SUFFIX): info
                for info in archive.infolist()
                if info.filename.endswith(SUFFIX)
            }
            partners = _partners(members, (*TESTS, *VALIDATES))
            dropped = {*reading.dropped, *(partners.get(name) for name in reading.dropped)}
            kept = {name: info for name, info in members.items() if name not in dropped}
            pairs = _pairs(kept)
            used = {*pairs, *pairs.values()} or {*kept}
            spare = [name for name in kept if name not in used]
            size = sum(info.file_size for name, info in kept.items() if name not in spare)
            check_ratio(size, stream.seek(0, 2), file)
            check_room(size, file)
            arrays = {
                name: member(archive, info, file)
                for name, info in kept.items()
                if name not in spare
            }
    except WRONG_ZIP:
        what = "it is not an .npz archive, or it is damaged"
        raise UserError(str(file), what, "write it with numpy.savez") from None
    if spare:
        note(f"{file}: not used, because there is a test part: {', '.join(map(show, spare))}")
    shown = {*(pairs or kept), *reading.dropped}
    columns = tuple(name for name in members if name in shown)
    if not pairs:
        _check_rows(arrays, file)
        return ArrayTable(file, columns, arrays)
    train = {name: arrays[name] for name in pairs}
    test = {name: arrays[other] for name, other in pairs.items()}
    _check_parts(train, test, pairs, file)
    held_out = ArrayTable(file, tuple(pairs), test)
    return ArrayTable(file, columns, train, held_out, pairs)


def _check_parts(
    train: Mapping[str, Array], test: Mapping[str, Array], pairs: Mapping[str, str], file: Path
) -> None:
    """Raise UserError for parts whose arrays do not have a row for each example, alike in both.

    `pairs` are the names of the test part's arrays, by those of the training part.
    """
    _check_rows(train, file)
    _check_rows({pairs[name]: array for name, array in test.items()}, file)
    for name, other in pairs.items():
        if train[name].shape[1:] != test[name].shape[1:]:
            sizes = [" x ".join(map(str, part[name].shape)) for part in (train, test)]
            what = f"{show(name)} has the shape {sizes[0]}, {show(other)} {sizes[1]}"
            raise UserError(str(file), what, "give both parts the same shape of examples")


TRAINS = re.compile("training|train", re.IGNORECASE)
TESTS = ("test", "testing")
VALIDATES = ("val", "valid", "validation", "dev")


def _pairs(names: Collection[str]) -> dict[str, str]:
    """Return the test array for each training array; empty unless every array has a partner.

    A validation part such as val_images is the test part if the file has no other one, and is
    otherwise not used.
    """
    more = _partners(names, VALIDATES)
    for words in (TESTS, VALIDATES):
        found = _partners(names, words)
        if found and {*found, *found.values(), *more.values()} == {*names}:
            return found
    return {}


def _partners(names: Collection[str], words: Sequence[str]) -> dict[str, str]:
    """Return, for each array, the one whose name has one of the words instead of "train"."""
    found: dict[str, str] = {}
    for name in names:
        for match in TRAINS.finditer(name):
            for word in words:
                cased = word.upper() if match[0].isupper() else word
                cased = word.title() if match[0].istitle() else cased
                other = name[: match.start()] + cased + name[match.end() :]
                if other in names:
                    found.setdefault(name, other)
    return found


def _check_rows(arrays: Mapping[str, Array], file: Path) -> None:
    """Raise UserError unless there are arrays, all with equally many rows."""
    if not arrays:
        raise UserError(str(file), "it contains no array", "write it with numpy.savez")
    rows = {name: len(array) if array.ndim else 0 for name, array in arrays.items()}
    first, count = next(iter(rows.items()))
    other = next((name for name, n in rows.items() if n != count or not n), None)
    if other is not None:
        has = counted(rows[other], "row", "rows") if arrays[other].ndim else "one value"
        what = f"the array {show(other)} has {has}, {show(first)} {count}"
        other_way = _moved(arrays) or f"give --drop {typed(other)}"
        fix = f"keep only arrays with a row for each example, or {other_way}"
        if lone := _lone(arrays):
            (one, part), name = lone
            what = f"{show(one)} has a test part, {show(part)}, but {show(name)} has none"
            fix = f"save one, or give --drop {typed(name)}"
        raise UserError(str(file), what, fix)
    if lone := _lone(arrays):
        (_, part), name = lone
        what = f"{show(part)} is read as a feature, not as a test part"
        note(f"{file}: {what}, because {show(name)} has none")


def _moved(arrays: Mapping[str, Array]) -> str | None:
    """Return how to move the examples of an array to the first axis, if they are along another.

    MATLAB's sets of images are stored so. The other columns tell how many examples there are, if
    they have equal lengths.
    """
    counts = {len(array) for array in arrays.values() if array.ndim and array.size == len(array)}
    for name, array in arrays.items():
        if len(counts) == 1 and array.ndim > 1 and array.shape[0] not in counts:
            axis = next((axis for axis, size in enumerate(array.shape) if size in counts), None)
            if axis is not None:
                moved = f"numpy.moveaxis(ARRAY, {axis}, 0)"
                return f"save {moved}, if axis {axis} of {show(name)} counts them"
    return None


def _lone(names: Collection[str]) -> tuple[tuple[str, str], str] | None:
    """Return an array with a test part and one without; None if all are alike."""
    pairs = _partners(names, (*TESTS, *VALIDATES))
    lone = [name for name in names if name not in {*pairs, *pairs.values()}]
    return (next(iter(pairs.items())), lone[0]) if pairs and lone else None


def member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, file: Path) -> Array:
    """Return one array of an archive."""
    import numpy as np

    with archive.open(info) as stream:
        name = info.filename.removesuffix(SUFFIX)
        header = read_header(stream, file, info.file_size, name)
        content = stream.read(header.size)
        if len(content) != header.size or stream.read(1):
            raise zipfile.BadZipFile
    values = np.frombuffer(content, header.dtype)
    return values.reshape(header.shape, order=header.order)  # type: ignore[call-overload]


def read_header(stream: IO[bytes], file: Path, size: int, name: str = "") -> Header:
    """Return the header of an array file of `size` bytes, and move the stream behind it.

    `name` is the array's name in an archive. Raises UserError if there is no header, if the array
    holds pickled Python objects, and if its size differs from the size of the file.
    """
    from numpy.lib import format as npy

    stream.seek(0)
    begin = io.BytesIO(stream.read(LONGEST))  # NumPy would allocate the size that the header claims
    try:
        version = npy.read_magic(begin)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = read(begin)
    except (ValueError, SyntaxError, TypeError, struct.error, EOFError, tokenize.TokenError):
        what = "it does not begin with the header of an array"
        raise UserError(str(file), what, "write it with numpy.save or numpy.savez") from None
    if dtype.hasobject:
        what = "pickled Python objects, which can run any program when they are read"
        fix = "make them numbers, and save them again"
        if name:
            fix = f"make them numbers or texts, or give --drop {show(name)}"
        raise UserError(str(file), f"{show(name) if name else 'it'} holds {what}", fix)
    if dtype.names is not None:
        what = f"{show(name) if name else 'it'} holds records with named fields"
        raise UserError(
            str(file), what, "save it as CSV or Parquet, for example with pandas.DataFrame"
        )
    header = Header(shape, "F" if fortran else "C", dtype, stream.seek(begin.tell()))
    if min(shape, default=1) < 0 or header.start + header.size != size:
        sizes = " x ".join(map(str, shape))
        what = f"the header says {sizes} of {dtype}, but the file holds {size - header.start} bytes"
        raise UserError(str(file), what, "fetch or save it again")
    return header
