"""The options about a data file, the choice of its reader, and the table that the reader returns.

The first bytes of the file decide, not its name; the reader is imported only then.
"""

from __future__ import annotations

import codecs
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, fields
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from annotated_types import Ge

from gdcli.datasets.cells import note
from gdcli.datasets.contents import WRONG_ZIP, opened, packed, seekable
from gdcli.errors import MissingData, UserError
from gdcli.fields import LATER, show, split

if TYPE_CHECKING:
    from collections.abc import Collection

    import numpy as np
    from numpy.typing import NDArray

    from gdcli.datasets.tables import Table
    from gdcli.problem import Array

AUTO = "auto"
TEST_FRACTION = 0.2  # the default
WORDS = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "blanks": " ", "bar": "|"}
WORDS = {
    "tab": "\t",
    "\\t": "\t",
    "comma": ",",
    "semicolon": ";",
    "blanks": " ",
    "bar": "|",
    "space": " ",
    "pipe": "|",
}
CELLS = ("header", "decimal", "thousands", "skip_rows")  # options that also apply to a workbook
TEXTUAL = ("separator", "header", "decimal", "thousands", "encoding", "comment", "skip_rows")


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The options about the format of a file; gdcli finds out what the user leaves out."""

    test_data: Annotated[
        Path | None,
        LATER,
        "file of test examples, read like --data; then no example of --data is held out",
    ] = None
    separator: Annotated[
        str | None,
        LATER,
        "what separates the columns of a text file: a character, tab, or blanks (default: "
        "recognized)",
    ] = None
    header: Annotated[
        bool | None, LATER, "take the first row of --data as names, or not (default: recognized)"
    ] = None
    decimal: Annotated[
        Literal[".", ","] | None, LATER, "decimal sign in --data (default: recognized)"
    ] = None
    thousands: Annotated[
        Literal[",", ".", "'", "blank"] | None, LATER, "separator of thousands in --data"
    ] = None
    encoding: Annotated[str | None, LATER, "text encoding of --data, such as cp1252 or utf-16"] = (
        None
    )
    comment: Annotated[
        str | None, LATER, "mark, such as #, that begins a comment in a line of --data"
    ] = None
    skip_rows: Annotated[int, LATER, "lines to skip at the start of --data", Ge(0)] = 0
    categorical: Annotated[
        str | None,
        LATER,
        "columns of categories, of which each category becomes a column of 0 and 1: auto, or "
        "names separated by commas",
    ] = None
    drop: Annotated[
        str | None, LATER, "columns of --data not to use: names separated by commas"
    ] = None
    missing: Annotated[
        Literal["error", "drop", "mean"],
        LATER,
        "what to do with a missing value: report an error, drop its row, or take the mean of "
        "its column in the training part",
    ] = "error"

    def check_reading(self, data: Path | None, test_fraction: float) -> None:
        """Raise UserError for wrong options, and for options about a file without a file."""
        if self.test_data is not None and data is None:
            what = "there is no file to train on"
            raise UserError("--test-data", what, "add --data FILE.csv")
        if self.test_data is not None and test_fraction != TEST_FRACTION:
            what = f"the test part is the file {show(str(self.test_data))} of --test-data"
            raise UserError("--test-fraction", what, "leave out one of the two")
        given = next((f.name for f in fields(Reading) if getattr(self, f.name) != f.default), None)
        if given is not None and data is None:
            name = f"--{given.replace('_', '-')}"
            raise UserError(
                name, "it is about a file, but there is no --data", "add --data FILE.csv"
            )
        if self.separator is not None and len(self.delimiter or "") != 1:
            what = f"{show(self.separator)} is not a single character"
            raise UserError("--separator", what, "give one, or a word: tab, blanks")
        if self.delimiter in ('"', "\n", "\r"):
            what = f"{show(self.separator)} cannot separate columns"
            raise UserError("--separator", what, "give another character, or a word: tab, blanks")
        if self.encoding is not None:
            _check_encoding(self.encoding)
        if self.comment is not None and not self.comment.strip():
            raise UserError("--comment", "it is empty", "give a mark such as #")
        if self.decimal is not None and self.decimal == self.thousands:
            what = f"{show(self.decimal)} is also the decimal sign"
            raise UserError("--thousands", what, "give two different signs")
        _ = self.dropped, self.categories

    @property
    def delimiter(self) -> str | None:
        """The character between columns; a blank means any run of blanks."""
        return WORDS.get(self.separator, self.separator) if self.separator is not None else None

    @property
    def textual(self) -> str | None:
        """The first given option about text files, as it is typed."""
        return self.textual_but(())

    def textual_but(self, used: Collection[str]) -> str | None:
        """Return the first given option about text files that is not in `used`."""
        named = (f for f in fields(Reading) if f.name in TEXTUAL and f.name not in used)
        given = (f.name for f in named if getattr(self, f.name) != f.default)
        name = next(given, None)
        return name and f"--{name.replace('_', '-')}"

    @property
    def dropped(self) -> tuple[str, ...]:
        """The columns to leave out."""
        return _names(self.drop, "--drop")

    @property
    def categories(self) -> tuple[str, ...]:
        """The named columns of categories; empty for auto."""
        return () if self.categorical == AUTO else _names(self.categorical, "--categorical")


def _names(text: str | None, where: str) -> tuple[str, ...]:
    if text is None:
        return ()
    names = tuple(name.strip() for name in split(text, where))
    if "" in names:
        raise UserError(where, "there is an empty name in the list", "remove the extra comma")
    return names


def _check_encoding(name: str) -> None:
    try:
        known = codecs.lookup(name)._is_text_encoding  # noqa: SLF001 -- as open() asks
    except (LookupError, ValueError):
        known = False
    if not known:
        what = f"there is no encoding {show(name)}"
        raise UserError(
            "--encoding", what, "give an encoding such as utf-8, cp1252, latin-1 or utf-16"
        )


LIBSVM_NAMES = (".libsvm", ".svmlight", ".svm")
LABEL = "label"  # name of the target of a LIBSVM file, and of IDX files
CSV, LIBSVM, NPY, NPZ, PARQUET, EXCEL, IDX = "csv", "libsvm", "npy", "npz", "parquet", "xlsx", "idx"
MTX = "mtx"
READERS = {
    CSV: ("matrices", "read_text"),
    LIBSVM: ("libsvm", "read_libsvm"),
    NPY: ("npy", "read_matrix"),
    NPZ: ("sparse_tables", "read_npz"),
    PARQUET: ("typed_tables", "read_parquet"),
    EXCEL: ("typed_tables", "read_workbook"),
    IDX: ("image_formats", "read_pair"),
    MTX: ("sparse_tables", "read_market"),
}
MAGIC = {b"\x93NUMPY": NPY, b"PAR1": PARQUET, b"%%MatrixMarket": MTX}
IMAGE = "an image", "put images and their classes into an .npz file"
SAVE = "save it as CSV or Parquet"
# Files that are not tables, by their first bytes: what the file is, and the fix.
STRANGERS = {
    b"\x89HDF\r\n\x1a\n": ("an HDF5 file", f"open it with pandas or h5py, and {SAVE}"),
    b"\xd0\xcf\x11\xe0": ("a workbook of Excel's before 2007", "save it as .xlsx or CSV"),
    b"ARROW1": ("an Arrow file (Feather)", SAVE),
    b"FEA1": ("a Feather file", SAVE),
    b"<stata_dta>": ("a Stata file", f"open it with pandas, and {SAVE}"),
    b"$FL2": ("an SPSS file", f"open it with pandas, and {SAVE}"),
    b"RDX": ("a file of R's", SAVE),
    b"X\n\x00\x00\x00": ("a file of R's", SAVE),
    b"RIFF": ("sound or an image", "save its numbers as CSV or .npz"),
    b"ORC": ("an ORC file", SAVE),
    b"SQLite format 3": ("an SQLite database", "save the rows that you want as CSV"),
    b"MATLAB 5.0": ("a MATLAB file", "save its arrays as an .npz file"),
    b"Obj\x01": ("an Avro file", SAVE),
    b"\x28\xb5\x2f\xfd": ("packed with zstd", "unpack it"),
    b"\x1f\x8b": ("packed twice", "unpack it"),
    b"BZh": ("packed twice", "unpack it"),
    b"\xfd7zXZ\x00": ("packed twice", "unpack it"),
    b"7z\xbc\xaf\x27\x1c": ("a 7z archive", "unpack it"),
    b"Rar!": ("a RAR archive", "unpack it"),
    b"%PDF": ("a PDF document", "copy its table into a CSV file"),
    b"\x89PNG": IMAGE,
    b"\xff\xd8\xff": IMAGE,
    b"GIF8": IMAGE,
    b"II*\x00": IMAGE,
    b"MM\x00*": IMAGE,
    b"version https://git-lfs": ("a pointer of Git LFS", "fetch the file itself: git lfs pull"),
}
# The same for text files; blanks, comments and capitals do not matter.
WRITTEN = {
    re.compile(rb"\s*<(!doctype html|html|head|body|table)\b", re.IGNORECASE): (
        "a web page",
        "fetch the file itself, or save its table as CSV",
    ),
    re.compile(rb"\s*<\?xml", re.IGNORECASE): ("XML", SAVE),
    re.compile(rb'\s*(\{\s*["}]|\[\s*[\[{]|\[[-\d.,\s]*\]\s*\Z)'): (
        "JSON",
        f"open it with pandas, and {SAVE}",
    ),
    re.compile(rb"(?:[ \t\r]*(?:%[^\n]*)?\n)*[ \t]*@relation\b", re.IGNORECASE): (
        "an ARFF file",
        SAVE,
    ),
}
PICKLE = re.compile(rb"\x80[\x02-\x05]|\([ld]p0\n|c(copy_reg|numpy|pandas)[\w.]*\n")
IDX_START = re.compile(rb"\x00\x00[\x08\x09\x0b-\x0e][\x01-\x08]")
START = 2**12  # bytes to look at
PAIRS = re.compile(rb"[-+.\deE,]+(\s+(qid:\d+|\d+:[-+.\deE]+))*")


def read_file(
    file: Path, reading: Reading | None = None, text: str | None = None, beside: Path | None = None
) -> Table:
    """Return the columns of a data file; the column `text` stays text.

    Raises UserError for a file that is not a table, and for options about text files if neither
    this file nor the other one is a text file.
    """
    reading = reading or Reading()
    kind = format_of(file, reading)
    kinds = [kind] if beside is None else [kind, format_of(beside, reading)]
    check_options(file, reading, kinds)
    module, function = READERS[kind]
    read = getattr(import_module(f"gdcli.datasets.{module}"), function)
    given = {CSV: (reading, text), EXCEL: (reading,), NPZ: (reading,)}.get(kind, ())
    table: Table = read(file, *given)
    return table


def check_options(file: Path, reading: Reading, kinds: Collection[str]) -> None:
    """Raise UserError for an option about text files that none of these formats uses.

    The first of the formats is the format of the file.
    """
    used = [name for kind in kinds for name in {EXCEL: CELLS, CSV: TEXTUAL}.get(kind, ())]
    if (option := reading.textual_but(used)) is not None:
        what = f"{show(str(file))} is a .{next(iter(kinds))} file, which does not use this option"
        raise UserError(option, what, "leave it out")


def format_of(file: Path, reading: Reading) -> str:
    """Return the format of a file; raises UserError, naming its kind, if it is not a table."""
    if file.is_dir():
        fix = "give a file; images and an array of their classes go into an .npz file"
        raise UserError("--data", f"{show(str(file))} is a folder", fix)
    with opened(file, "--data") as stream:
        start = stream.read(START)
    if (
        known := next((kind for m, kind in MAGIC.items() if start.startswith(m)), None)
    ) is not None:
        return known
    if start.startswith(b"PK"):
        return _of_zip(file)
    if PICKLE.match(start):
        what = "it is a pickle, which can run any program when it is read"
        raise UserError(
            str(file), what, "open it with the program that wrote it, and save it as CSV or .npz"
        )
    if IDX_START.match(start):
        return IDX
    if (stranger := _stranger(start)) is not None:
        raise UserError(str(file), f"it is {stranger[0]}, which gdcli does not read", stranger[1])
    if reading.textual:
        return CSV
    if _suffix(file) == f".{MTX}":
        return MTX  # its reader reports the error
    return LIBSVM if _suffix(file) in LIBSVM_NAMES or _has_pairs(start) else CSV


def _stranger(start: bytes) -> tuple[str, str] | None:
    """Return the kind of an unreadable file, and the fix; None for other files."""
    if start[8:12] == b"WEBP" or (start[:2] == b"BM" and start[6:10] == bytes(4)):
        return IMAGE
    found = next((s for m, s in STRANGERS.items() if start.startswith(m)), None)
    found = found or next((s for form, s in WRITTEN.items() if form.match(start)), None)
    return found or (("a tar archive", "unpack it") if start[257:262] == b"ustar" else None)


def _of_zip(file: Path) -> str:
    """Return the format of a zip archive with several members, or with one array."""
    try:
        with seekable(file, "--data") as stream, zipfile.ZipFile(stream) as archive:
            names = [info.filename for info in archive.infolist() if not info.is_dir()]
    except WRONG_ZIP:
        if _suffix(file) == ".npz":
            return NPZ  # its reader reports the error
        raise UserError(
            str(file), "the zip data is damaged", "download or compress it again"
        ) from None
    if any(name.startswith("xl/") for name in names):
        return EXCEL
    if all(name.endswith(".npy") for name in names) and (names or _suffix(file) == ".npz"):
        return NPZ
    if any(name.endswith("/data.pkl") for name in names):
        what = "it is a file of PyTorch's, which can run any program when it is read"
        raise UserError(str(file), what, "save its arrays as an .npz file")
    if any(name.startswith(("word/", "ppt/", "content.xml")) for name in names):
        raise UserError(str(file), "it is a document of an office program", "save it as CSV")
    if any(name.endswith("/data.pkl") for name in names):
        what = "it is a file of torch.save, a pickle, which can run any program when it is read"
        raise UserError(str(file), what, "save its arrays with numpy.savez")
    listed = ", ".join(map(show, names[:3])) + (", ..." if len(names) > 3 else "")
    what = f"it is a zip archive of {len(names)} files: {listed}"
    if not names:
        raise UserError(
            str(file), "it is a zip archive without a file", "give an archive with a table"
        )
    raise UserError(str(file), what, "unpack it, and give one of its files")


def _has_pairs(start: bytes) -> bool:
    """Return whether a text begins with lines in LIBSVM's format."""
    lines = start.split(b"\n")
    whole = lines[:-1] if len(lines) > 1 and len(start) == START else lines
    bare = [line for raw in whole if (line := raw.partition(b"#")[0].strip())]
    return any(b":" in line for line in bare) and all(PAIRS.fullmatch(line) for line in bare)


def guessed(file: Path, reading: Reading) -> str:
    """Return the format of a file; if it does not exist or is not a table, guess from its name."""
    try:
        return format_of(file, reading)
    except UserError:
        suffix = _suffix(file)
        return LIBSVM if suffix in LIBSVM_NAMES else suffix[1:] if suffix[1:] in READERS else CSV


def in_parts(file: Path, reading: Reading) -> bool:
    """Return whether a file can be read in parts."""
    kind = guessed(file, reading)
    if kind == NPY:
        try:
            return not packed(file, "--data")
        except MissingData:
            return True
    return kind == CSV


def own_target(file: Path, reading: Reading) -> str | None:
    """Return the target that the file's format defines, if any."""
    return LABEL if guessed(file, reading) in (LIBSVM, IDX) else None


def _suffix(file: Path) -> str:
    """Return the suffix of the format, without a suffix of the compression."""
    suffixes = [suffix.lower() for suffix in file.suffixes]
    if suffixes[-1:] and suffixes[-1] in (".gz", ".bz2", ".xz", ".zip"):
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


LISTED = 5  # columns that a note names


class Both(NamedTuple):
    """One table whose rows are split later, or two tables, the second of which is the test part."""

    table: Table
    test: Table | None = None
    said: str = ""  # the note that says that the test part is used

    def numbers(self, name: str) -> Array:
        """Return a column of numbers, float64: first the training part, then the test part."""
        import numpy as np

        found = [table.numbers([name], predicted=True) for table in self.tables]
        for table, values in zip(self.tables, found, strict=True):
            if values.shape[1] != 1:
                what = f"{show(name)} of {table.file} has {values.shape[1]} numbers a row"
                raise UserError("--target", what, "name an array with one number in each row")
        return np.concatenate(found)[:, 0]

    def labels(self, name: str) -> Sequence[str] | NDArray[np.generic]:
        """Return a column's raw values: first the training part, then the test part."""
        import numpy as np

        found: list[Any] = [table.labels(name) for table in self.tables]
        if not any(isinstance(values, Sequence) for values in found):
            joined: NDArray[np.generic] = np.concatenate(found)
            # Joining signed and unsigned integers gives float64, which cannot hold all of them.
            if joined.dtype.kind != "f" or all(v.dtype.kind == "f" for v in found):
                return joined
        return [str(label) for part in found for label in _listed(part)]

    def places(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the row indices of the training part and of the test part."""
        import numpy as np

        order = np.arange(sum(map(len, self.tables)))
        return order[: len(self.table)], order[len(self.table) :]

    @property
    def tables(self) -> tuple[Table, ...]:
        """The table, and the table of the test part if there is one."""
        return (self.table,) if self.test is None else (self.table, self.test)


def _listed(labels: Any) -> list[Any]:
    return labels if isinstance(labels, list) else list(getattr(labels, "tolist", labels)())


def read_both(file: Path, reading: Reading, text: str | None = None) -> Both:
    """Return the table of a file, and the table of --test-data or of the file's own test part.

    The column `text` of a text file stays text. Raises UserError for a file that is not a table,
    and for two test parts.
    """
    table = read_file(file, reading, text, reading.test_data)
    if reading.test_data is None:
        return Both(table, table.test, table.said)
    if table.test is not None:
        fix = f"leave it out, or give --drop {','.join(table.test.columns)}"
        raise UserError("--test-data", f"{show(str(file))} has its own test part", fix)
    if reading.test_data.resolve() == file.resolve():
        note(f"{file} is --data and --test-data, so the test would use the training examples")
    return Both(table, read_file(reading.test_data, reading, text, file))


def matched(both: Both, target: str, reading: Reading) -> tuple[Both, list[str]]:
    """Return both tables, checked for the target and the features, and the feature names."""
    names = features_of(both.table, target, reading)
    if both.test is None:
        return both, names
    table, test = both.table.beside(both.test)
    features_of(test, target, reading, names)
    return Both(table, test, both.said), names


def features_of(
    table: Table, target: str, reading: Reading, train: Sequence[str] | None = None
) -> list[str]:
    """Return the names of the training part's features.

    Notes what else the test part has; raises UserError for features that it lacks.
    """
    if train is None:
        return table.others(target, reading.dropped)
    for name in (target, *train):
        table.place(name, "--test-data")
    there = [name for name in reading.dropped if name in table.columns]
    more = [name for name in table.others(target, there) if name not in train]
    if more:
        listed = ", ".join(map(show, more[:LISTED])) + (", ..." if len(more) > LISTED else "")
        note(f"{table.file}: not used, because --data has no such feature: {listed}")
    return [*train]
