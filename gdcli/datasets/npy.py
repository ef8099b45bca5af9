"""Examples from a NumPy file: .npy, one matrix, or .npz, named arrays of as many rows each.

Nothing is unpickled. What a header says is held against the file before memory is asked for.

Where a file has the values of an array.
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
from typing import IO, TYPE_CHECKING, Any, NamedTuple, Self

from gdcli.datasets.cells import instead, is_missing, note
from gdcli.datasets.contents import WRONG_ZIP, check_ratio, check_room, seekable
from gdcli.datasets.tables import FILL, Table, tell_words
from gdcli.errors import UserError
from gdcli.fields import counted, show, typed
from gdcli.problem import Array

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from gdcli.datasets.reading import Reading


class Header(NamedTuple):
    """What an array file says of itself."""

    shape: tuple[int, ...]
    order: str  # "C" or "F"
    dtype: Any  # np.dtype
    start: int  # bytes before the values

    @property
    def size(self) -> int:
        """The bytes of the values."""
        return math.prod(self.shape) * int(self.dtype.itemsize)


NUMBERS = "biuf"  # kinds of dtype: booleans, integers, floating point
SUFFIX = ".npy"
LONGEST = 2**14  # bytes of a header, of which NumPy itself believes 10,000


@dataclass(frozen=True)
class ArrayTable(Table):
    """Arrays of as many rows each, by the name of the column or columns that they are."""

    arrays: Mapping[str, Array]
    held_out: ArrayTable | None = None  # a test part, whose arrays have the names of these
    pairs: Mapping[str, str] = field(default_factory=dict)  # what those are called in the file

    @property
    def test(self) -> ArrayTable | None:
        """The test part that the file itself has."""
        return self.held_out

    @property
    def said(self) -> str:
        """What there is to say where that test part is used."""
        if self.held_out is None:
            return ""
        has = counted(len(self.held_out), "example", "examples")
        listed = ", ".join(map(show, self.pairs.values()))
        return f"{self.file} has a test part of its own, which is used: {has} of {listed}"

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
        """Say where integers are too large for float64 to keep their last digits."""
        import numpy as np

        held: Array = values
        large = held[(held >= 2**53) | (held <= -(2**53))]
        if lost := [v for v in np.unique(large).tolist() if int(float(v)) != v]:
            what = f"{self.file}: column {show(name)} holds integers beyond 2^53, such as {lost[0]}"
            note(f"{what}, whose last digits float64 does not keep")

    def width(self, name: str) -> int:
        """Return how many numbers a row of an array has."""
        return math.prod(self.arrays[name].shape[1:]) if name in self.arrays else 1

    def labels(self, name: str) -> Sequence[str] | NDArray[np.generic]:
        """Return the values of an array of one column."""
        self.place(name)
        values: NDArray[np.generic] = self.arrays[name]
        if self.width(name) != 1:
            shape = " x ".join(map(str, values.shape))
            what = f"{show(name)} of {self.file} has the shape {shape}: it is no single column"
            fix = "name an array of one value a row"
            if values.ndim == 2 and name in self.columns:
                fix += ", such as numpy.argmax(..., axis=1) of one column a class"
            raise UserError("--target", what, fix)
        values = values.reshape(-1)
        if values.dtype.kind in "SU":
            return self._texts(name, values)
        if values.dtype.kind in "mM":  # times, as NumPy writes them
            return [str(value) for value in values]
        if values.dtype.kind not in NUMBERS:
            what = f"the array {show(name)} holds {values.dtype}, and neither text nor numbers"
            raise UserError(str(self.file), what, "save its classes as text or numbers")
        if values.dtype.kind == "f":
            self.numbers([name])  # each of them finite
        return values

    def expanded(self, name: str) -> list[str]:
        """Return the name of an array, with the place of each number in a row of several axes."""
        import numpy as np

        self.place(name)
        shape = self.arrays[name].shape[1:]
        places = (",".join(map(str, place)) for place in np.ndindex(*shape))
        return [f"{name}[{place}]" for place in places] if shape else [name]

    def _texts(self, name: str, values: NDArray[np.generic]) -> list[str]:
        """Return texts, of which none is empty; bytes are text, too."""
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
        """Return which rows are not a number somewhere, or an empty text."""
        import numpy as np

        self.place(name)
        values = self.arrays[name].reshape(len(self), -1)
        if values.dtype.kind == "f":
            return np.asarray(np.isnan(values).any(axis=1))
        if values.dtype.kind in "US":
            return np.asarray((values == values.dtype.type()).any(axis=1))
        return np.zeros(len(self), bool)

    def take(self, rows: NDArray[np.bool_]) -> Self:
        """Return some of the rows."""
        arrays = {name: array[rows] for name, array in self.arrays.items()}
        return replace(self, arrays=arrays, kept=self.row_numbers()[rows])

    def _rows_of(self, name: str, *, predicted: bool) -> Array:
        self.place(name)
        values = self.arrays[name]
        if values.dtype.kind not in NUMBERS:
            what = f"the array {show(name)} holds {values.dtype} and no numbers"
            fix = instead(name, predicted=predicted, words=self.is_text(name))
            raise UserError(str(self.file), what, fix)
        return values.reshape(len(values), -1)


def check_finite(values: Array, numbers: Callable[[], Array], file: Path) -> None:
    """Raise UserError unless rows, whose `numbers` count them from 0, hold finite ones only."""
    import numpy as np

    if not (finite := np.isfinite(values)).all():
        row = int(finite.all(axis=1).argmin())
        wrong = values[row, int(finite[row].argmin())]
        what = f"row {numbers()[row]}, counted from 0, holds {wrong}, which is no finite number"
        fix = FILL if np.isnan(wrong) else "correct it, or take out the row"
        raise UserError(str(file), what, fix)


def read_matrix(file: Path) -> ArrayTable:
    """Return the columns of a matrix in an .npy file, named by their numbers from 0."""
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
    """Raise UserError unless a file holds a matrix of numbers with two columns or more."""
    shape = " x ".join(map(str, header.shape))
    if len(header.shape) != 2 or 0 in header.shape:
        what = f"its array has the shape {shape or 'of one value'}, and is no matrix"
        fix = "give one row an example, one of its columns the target"
        if len(header.shape) > 2:
            fix = "put it into an .npz file, beside an array of what to predict"
        raise UserError(str(file), what, fix)
    if header.dtype.kind not in NUMBERS:
        what = f"its array holds {header.dtype} and no numbers"
        raise UserError(str(file), what, "make them numbers")


def read_arrays(file: Path, reading: Reading) -> ArrayTable:
    """Return the arrays of an .npz file by their names; those that are dropped are not read.

    Where all come in pairs such as x_train and x_test, the second ones are a test part.
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
                name: _member(archive, info, file)
                for name, info in kept.items()
                if name not in spare
            }
    except WRONG_ZIP:
        what = "it is no .npz archive, or a damaged one"
        raise UserError(str(file), what, "write it with numpy.savez") from None
    if spare:
        note(f"{file}: not used, beside the test part: {', '.join(map(show, spare))}")
    shown = {*(pairs or kept), *reading.dropped}
    columns = tuple(name for name in members if name in shown)
    if not pairs:
        _check_rows(arrays, file)
        return ArrayTable(file, columns, arrays)
    train = {name: arrays[name] for name in pairs}
    test = {name: arrays[other] for name, other in pairs.items()}
    _check_rows(train, file)
    _check_rows({pairs[name]: array for name, array in test.items()}, file)
    for name, other in pairs.items():
        if train[name].shape[1:] != test[name].shape[1:]:
            sizes = [" x ".join(map(str, part[name].shape)) for part in (train, test)]
            what = f"{show(name)} has the shape {sizes[0]}, {show(other)} {sizes[1]}"
            raise UserError(str(file), what, "give two parts of examples of one form")
    held_out = ArrayTable(file, tuple(pairs), test)
    return ArrayTable(file, columns, train, held_out, pairs)


TRAINS = re.compile("training|train", re.IGNORECASE)
TESTS = ("test", "testing")
VALIDATES = ("val", "valid", "validation", "dev")


def _pairs(names: Collection[str]) -> dict[str, str]:
    """Return the array of the test part for each of the training part; none unless all pair.

    A validation part, as in val_images, is the test part of a file without another one; beside it
    it is not used.
    """
    more = _partners(names, VALIDATES)
    for words in (TESTS, VALIDATES):
        found = _partners(names, words)
        if found and {*found, *found.values(), *more.values()} == {*names}:
            return found
    return {}


def _partners(names: Collection[str], words: Sequence[str]) -> dict[str, str]:
    """Return the array whose name has one of the words in the place of "train", for each."""
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
    """Raise UserError unless there are arrays, all of as many rows."""
    if not arrays:
        raise UserError(str(file), "it holds no array", "write it with numpy.savez")
    rows = {name: len(array) if array.ndim else 0 for name, array in arrays.items()}
    first, count = next(iter(rows.items()))
    other = next((name for name, n in rows.items() if n != count or not n), None)
    if other is not None:
        has = counted(rows[other], "row", "rows") if arrays[other].ndim else "one value"
        what = f"the array {show(other)} has {has}, {show(first)} {count}"
        other_way = _moved(arrays) or f"give --drop {typed(other)}"
        fix = f"leave arrays of one row an example, or {other_way}"
        if lone := _lone(arrays):
            (one, part), name = lone
            what = f"{show(one)} has a test part, {show(part)}, and {show(name)} has none"
            fix = f"save one, or give --drop {typed(name)}"
        raise UserError(str(file), what, fix)
    if lone := _lone(arrays):
        (_, part), name = lone
        what = f"{show(part)} is read as a column like any other, and as no test part"
        note(f"{file}: {what}, as {show(name)} has none")


def _moved(arrays: Mapping[str, Array]) -> str | None:
    """Return how to put the examples first in an array that has as many along another axis.

    MATLAB's sets of images are such. Only columns that are all as long tell how many there are.
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
    """Return an array with its test part, and one that has none; None where all are alike."""
    pairs = _partners(names, (*TESTS, *VALIDATES))
    lone = [name for name in names if name not in {*pairs, *pairs.values()}]
    return (next(iter(pairs.items())), lone[0]) if pairs and lone else None


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, file: Path) -> Array:
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
    """Return the header of an array file of so many bytes, which the stream is put behind.

    `name` is that of the array in an archive. Raises UserError where it is none, where Python
    objects would have to be unpickled, and where the array that it promises is not as large as
    what is there.
    """
    from numpy.lib import format as npy

    stream.seek(0)
    begin = io.BytesIO(stream.read(LONGEST))  # NumPy would read as much as the header says it has
    try:
        version = npy.read_magic(begin)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = read(begin)
    except (ValueError, SyntaxError, TypeError, struct.error, EOFError, tokenize.TokenError):
        what = "it has no header of an array"
        raise UserError(str(file), what, "write it with numpy.save or numpy.savez") from None
    if dtype.hasobject:
        what = "pickled Python objects, which could run any program when they are read"
        fix = "make them numbers, and save them again"
        if name:
            fix = f"make them numbers or texts, or give --drop {show(name)}"
        raise UserError(str(file), f"{show(name) if name else 'it'} holds {what}", fix)
    if dtype.names is not None:
        what = f"{show(name) if name else 'it'} holds records, whose fields have names"
        raise UserError(str(file), what, "save it as CSV or Parquet, such as by pandas.DataFrame")
    header = Header(shape, "F" if fortran else "C", dtype, stream.seek(begin.tell()))
    if min(shape, default=1) < 0 or header.start + header.size != size:
        sizes = " x ".join(map(str, shape))
        what = f"the header says {sizes} of {dtype}, the file holds {size - header.start} bytes"
        raise UserError(str(file), what, "fetch or save it again")
    return header
