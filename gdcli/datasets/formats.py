"""Which reader reads a file: its suffix says. It is imported for a file that wants it."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from gdcli.datasets.table import Table

LIBSVM = (".libsvm", ".svmlight", ".svm")
LABEL = "label"  # its target
CSV = ("delimited", "read_table")
READERS = {
    ".npy": ("arrays", "read_matrix"),
    ".npz": ("arrays", "read_arrays"),
    ".parquet": ("parquet", "read_parquet"),
    **dict.fromkeys(LIBSVM, ("libsvm", "read_libsvm")),
}


def read_file(file: Path) -> Table:
    """Return the columns of a data file: a CSV file, unless its suffix says another format."""
    module, function = READERS.get(_suffix(file), CSV)
    table: Table = getattr(import_module(f"gdcli.datasets.{module}"), function)(file)
    return table


def is_csv(file: Path) -> bool:
    """Return whether a file is read as CSV."""
    return _suffix(file) not in READERS


def own_target(file: Path) -> str | None:
    """Return the target of a format that has one of its own."""
    return LABEL if _suffix(file) in LIBSVM else None


def _suffix(file: Path) -> str:
    """Return the suffix that names the format; LIBSVM's text may be gzipped."""
    suffixes = [suffix.lower() for suffix in file.suffixes]
    if suffixes[-1:] == [".gz"]:
        return suffixes[-2] if suffixes[-2:-1] and suffixes[-2] in LIBSVM else ""
    return suffixes[-1] if suffixes else ""
