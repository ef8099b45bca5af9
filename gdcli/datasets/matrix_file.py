"""Opens a matrix that stays on disk: an .npy file as it is, a CSV file as numbers in another."""

from __future__ import annotations

import tempfile
import weakref
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gdcli.datasets.arrays import check_columns, check_finite, read_header
from gdcli.datasets.classes import MOST, number_classes
from gdcli.datasets.contents import opened
from gdcli.datasets.delimited import read_parts
from gdcli.datasets.header import Header
from gdcli.datasets.on_disk import OnDisk
from gdcli.datasets.table import Table
from gdcli.errors import UserError
from gdcli.fields import show
from gdcli.problem import Array

CELLS = 2**17  # of a CSV file that are text at a time


@dataclass
class _Target:
    """The values of the target, part by part, as numbers or as classes."""

    name: str
    classes: bool
    parts: list[Array] = field(default_factory=list)
    known: dict[Any, int] = field(default_factory=dict)

    def add(self, table: Table) -> None:
        """Take the target's values in a part of a file."""
        import numpy as np

        if not self.classes:
            self.parts.append(table.numbers([self.name])[:, 0])
            return
        codes = [self.known.setdefault(x, len(self.known)) for x in table.labels(self.name)]
        if len(self.known) > 10 * MOST:  # 1 and 1.0 are one class, so that a few more may do
            number_classes(list(self.known), self.name)
        self.parts.append(np.array(codes, np.int32))

    def values(self) -> Array:
        """Return all values, float64, or classes counted from 0."""
        import numpy as np

        values = np.concatenate(self.parts)
        return number_classes(list(self.known), self.name)[values] if self.classes else values


def open_matrix(file: Path, target: str, *, classes: bool) -> tuple[OnDisk, Array]:
    """Return the features of a file, which stay on disk, and the target's values.

    Raises UserError as reading the file whole would.
    """
    if file.suffix.lower() == ".npy":
        return _of_array(file, target, classes=classes)
    return _of_csv(file, target, classes=classes)


def _of_array(file: Path, target: str, *, classes: bool) -> tuple[OnDisk, Array]:
    import numpy as np

    with opened(file, "--data") as stream:
        header = read_header(stream, file, stream.seek(0, 2))
    check_columns(header, file)
    names = tuple(map(str, range(header.shape[1])))
    if target not in names:
        what = f"{file} has no column {show(target)}"
        raise UserError("--target", what, f"its columns are 0 to {len(names) - 1}")
    everything = OnDisk(file, file, header, np.arange(len(names)))
    others = np.array([i for i, name in enumerate(names) if name != target], dtype=np.int64)
    _check_features(len(others), file, target)
    y = np.empty(header.shape[0])
    for rows, part in everything.parts(np.arange(header.shape[0])):
        check_finite(part, int(rows[0]), file)
        y[rows] = part[:, int(target)]
    return replace(everything, columns=others), number_classes(y, target) if classes else y


def _of_csv(file: Path, target: str, *, classes: bool) -> tuple[OnDisk, Array]:
    import numpy as np

    found = _Target(target, classes)
    rows, width = 0, 0
    with ExitStack() as until_done:
        held = until_done.enter_context(tempfile.TemporaryFile())
        for part in read_parts(file, CELLS):
            found.add(part)
            held.write(part.features(target).tobytes())
            rows, width = rows + len(part.rows), len(part.columns) - 1
        held.flush()
        y = found.values()
        until_done.pop_all()
    header = Header((rows, width), "C", np.dtype(np.float64), 0)
    matrix = OnDisk(file, held, header, np.arange(width))
    weakref.finalize(matrix, held.close)  # and with that it is gone from the disk
    return matrix, y


def _check_features(count: int, file: Path, target: str) -> None:
    if not count:
        what = f"{file} has no column besides {show(target)}"
        raise UserError("--data", what, "give a file with columns to predict it from")
