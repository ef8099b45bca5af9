"""Which examples stay on disk: those of a file that takes more memory than may be used."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from gdcli.datasets.arrays import read_header
from gdcli.datasets.classes import Classes
from gdcli.datasets.contents import opened
from gdcli.datasets.formats import NPY, guessed, in_parts
from gdcli.datasets.matrix_file import matrix_classified, matrix_measured
from gdcli.datasets.source import Source
from gdcli.errors import UserError
from gdcli.fields import LATER, show
from gdcli.problem import Array

TEXT = 20  # bytes in memory for a byte of a CSV file, whose cells are read as texts
COPIES = 3  # of the numbers: as they are read, scaled, and in a program
PART = 2**20


@dataclass(frozen=True)
class Streamable(Source):
    """The options of a linear model, which can learn from a file in parts."""

    stream: Annotated[
        bool | None, LATER, "read --data in parts; done anyway if it is larger than --memory"
    ] = None

    def __post_init__(self) -> None:
        """Raise UserError for --stream without a file that can be read in parts."""
        super().__post_init__()
        if self.stream and not self.streams:
            given = f"{show(str(self.data))} is read whole" if self.data else "there is no --data"
            fix = "give a .npy or CSV file, or leave it out"
            if self.data and self.learnt:
                given, fix = "a part of a file has no means or categories", "leave it out"
            elif self.data and self.test_data and in_parts(self.data, self):
                given = f"{show(str(self.test_data))} of --test-data is read whole"
            raise UserError("--stream", given, fix)

    @property
    def streams(self) -> bool:
        """Whether the file can be read in parts."""
        files = [file for file in (self.data, self.test_data) if file is not None]
        return bool(files) and not self.learnt and all(in_parts(file, self) for file in files)

    @property
    def learnt(self) -> bool:
        """Whether something of the features is learnt from the training part: read whole."""
        return self.categorical is not None or self.missing == "mean"

    def whole(self) -> int:
        """Return about how many bytes it takes to read the file whole; 0 if it need not be."""
        if self.data is None or not self.streams:
            return 0
        return sum(self._whole(file) for file in (self.data, self.test_data) if file is not None)

    def _whole(self, file: Path) -> int:
        with opened(file, "--data") as stream:
            if guessed(file, self) == NPY:
                header = read_header(stream, file, stream.seek(0, 2))
                return 8 * COPIES * math.prod(header.shape)
            if isinstance(stream.raw, io.FileIO):  # it is not packed
                return TEXT * stream.seek(0, io.SEEK_END)
            size = 0
            while part := stream.read(PART):
                size += len(part)
        return TEXT * size

    def measured(self) -> tuple[Array, Array]:
        """Return the features, which may stay on disk, and the measurement, (examples,)."""
        if self.stream and self.data and self.predicted:
            return matrix_measured(self.data, self.predicted, self)
        return super().measured()

    def classified(self) -> tuple[Array, Classes]:
        """Return the features, which may stay on disk, and the classes."""
        if self.stream and self.data and self.predicted:
            return matrix_classified(self.data, self.predicted, self)
        return super().classified()
