"""Which reader reads a file: its first bytes say. It is imported for a file that wants it."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Collection
from importlib import import_module
from pathlib import Path

from gdcli.datasets.contents import WRONG_ZIP, opened, packed, seekable
from gdcli.datasets.reading import CELLS, TEXTUAL, Reading
from gdcli.datasets.table import Table
from gdcli.errors import MissingData, UserError
from gdcli.fields import show

LIBSVM_NAMES = (".libsvm", ".svmlight", ".svm")
LABEL = "label"  # the target of a LIBSVM file, and of IDX files
CSV, LIBSVM, NPY, NPZ, PARQUET, EXCEL, IDX = "csv", "libsvm", "npy", "npz", "parquet", "xlsx", "idx"
READERS = {
    CSV: ("plain_numbers", "read_text"),
    LIBSVM: ("libsvm", "read_libsvm"),
    NPY: ("arrays", "read_matrix"),
    NPZ: ("arrays", "read_arrays"),
    PARQUET: ("parquet", "read_parquet"),
    EXCEL: ("workbook", "read_workbook"),
    IDX: ("idx", "read_pair"),
}
MAGIC = {b"\x93NUMPY": NPY, b"PAR1": PARQUET}
IMAGE = "an image", "put images and their classes into an .npz file"
SAVE = "save it as CSV or Parquet"
# What is no table that is read here, by its first bytes: what it is, and what to do.
STRANGERS = {
    b"\x89HDF\r\n\x1a\n": ("an HDF5 file", f"open it with pandas or h5py, and {SAVE}"),
    b"\xd0\xcf\x11\xe0": ("a workbook of Excel's before 2007", "save it as .xlsx or CSV"),
    b"ARROW1": ("an Arrow file (Feather)", SAVE),
    b"FEA1": ("a Feather file", SAVE),
    b"<stata_dta>": ("a Stata file", f"open it with pandas, and {SAVE}"),
    b"$FL2": ("an SPSS file", f"open it with pandas, and {SAVE}"),
    b"RDX": ("a file of R's", SAVE),
    b"X\n\x00\x00\x00": ("a file of R's", SAVE),
    b"%%MatrixMarket": ("a Matrix Market file", "save it as LIBSVM or .npz"),
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
# The same of texts, in which blanks, comments and capitals do not count.
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
START = 2**12  # bytes that are looked at
PAIRS = re.compile(rb"[-+.\deE,]+(\s+(qid:\d+|\d+:[-+.\deE]+))*")


def read_file(
    file: Path, reading: Reading | None = None, text: str | None = None, beside: Path | None = None
) -> Table:
    """Return the columns of a data file, of which `text` is kept as it is written.

    Raises UserError for a file that is no table, and for options of text where neither it is one
    nor the file beside it.
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
    """Raise UserError for an option about text that no file of these formats has a use for.

    The first of the formats is that of the file.
    """
    used = [name for kind in kinds for name in {EXCEL: CELLS, CSV: TEXTUAL}.get(kind, ())]
    if (option := reading.textual_but(used)) is not None:
        what = f"{show(str(file))} is a .{next(iter(kinds))} file, which needs no such option"
        raise UserError(option, what, "leave it out")


def format_of(file: Path, reading: Reading) -> str:
    """Return the format of a file; raises UserError for one that is no table, by its name."""
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
        what = "it is a pickle, which could run any program when it is read"
        raise UserError(str(file), what, "open it with what wrote it, and save it as CSV or .npz")
    if IDX_START.match(start):
        return IDX
    if (stranger := _stranger(start)) is not None:
        raise UserError(str(file), f"it is {stranger[0]}, which is not read", stranger[1])
    if reading.textual:
        return CSV
    return LIBSVM if _suffix(file) in LIBSVM_NAMES or _has_pairs(start) else CSV


def _stranger(start: bytes) -> tuple[str, str] | None:
    """Return what a file is that is not read, and what to do about it; None for others."""
    if start[8:12] == b"WEBP" or (start[:2] == b"BM" and start[6:10] == bytes(4)):
        return IMAGE
    found = next((s for m, s in STRANGERS.items() if start.startswith(m)), None)
    found = found or next((s for form, s in WRITTEN.items() if form.match(start)), None)
    return found or (("a tar archive", "unpack it") if start[257:262] == b"ustar" else None)


def _of_zip(file: Path) -> str:
    """Return the format of a zip archive of several members, or of one that is an array."""
    try:
        with seekable(file, "--data") as stream, zipfile.ZipFile(stream) as archive:
            names = [info.filename for info in archive.infolist() if not info.is_dir()]
    except WRONG_ZIP:
        if _suffix(file) == ".npz":
            return NPZ  # whose reader says what is wrong
        raise UserError(str(file), "the zip data is damaged", "fetch or compress it anew") from None
    if any(name.startswith("xl/") for name in names):
        return EXCEL
    if all(name.endswith(".npy") for name in names) and (names or _suffix(file) == ".npz"):
        return NPZ
    if any(name.endswith("/data.pkl") for name in names):
        what = "it is a file of PyTorch's, which could run any program when it is read"
        raise UserError(str(file), what, "save its arrays as an .npz file")
    if any(name.startswith(("word/", "ppt/", "content.xml")) for name in names):
        raise UserError(str(file), "it is a document of an office program", "save it as CSV")
    if any(name.endswith("/data.pkl") for name in names):
        what = "it is a file of torch.save, a pickle, which could run any program when it is read"
        raise UserError(str(file), what, "save its arrays with numpy.savez")
    listed = ", ".join(map(show, names[:3])) + (", ..." if len(names) > 3 else "")
    what = f"it is a zip archive of {len(names)} files: {listed}"
    if not names:
        raise UserError(str(file), "it is a zip archive without a file", "give one with a table")
    raise UserError(str(file), what, "unpack it, and give one of them")


def _has_pairs(start: bytes) -> bool:
    """Return whether a text begins with lines of LIBSVM's form."""
    lines = start.split(b"\n")
    whole = lines[:-1] if len(lines) > 1 and len(start) == START else lines
    bare = [line for raw in whole if (line := raw.partition(b"#")[0].strip())]
    return bool(bare) and b":" in bare[0] and all(PAIRS.fullmatch(line) for line in bare)


def guessed(file: Path, reading: Reading) -> str:
    """Return the format of a file; where it is not there, or no table, what its name says."""
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
    """Return the target of a format that has one of its own."""
    return LABEL if guessed(file, reading) in (LIBSVM, IDX) else None


def _suffix(file: Path) -> str:
    """Return the suffix that names the format, before one that says how it is packed."""
    suffixes = [suffix.lower() for suffix in file.suffixes]
    if suffixes[-1:] and suffixes[-1] in (".gz", ".bz2", ".xz", ".zip"):
        suffixes.pop()
    return suffixes[-1] if suffixes else ""
