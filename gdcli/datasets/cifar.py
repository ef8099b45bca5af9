"""Images from the binary version of CIFAR-10 (Krizhevsky 2009).

Five training files and one test file of records: a byte for the class, from 0 to 9, and the red,
the green and the blue bytes of 32 x 32 pixels, row by row.
"""

from __future__ import annotations

from pathlib import Path

from gdcli.datasets.contents import read_contents
from gdcli.errors import UserError
from gdcli.problem import Array, Batch

TRAINING = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
TEST = ("test_batch.bin",)
SHAPE = 3, 32, 32
RECORD = 1 + 3 * 32 * 32
CLASSES = 10


def holds_set(folder: Path) -> bool:
    """Return whether a folder has one of the training files."""
    return any((folder / name).is_file() for name in TRAINING)


def read_cifar(folder: Path) -> tuple[Batch, Batch]:
    """Return the training and the test part of a folder's files.

    x: (images, 3, 32, 32) uint8; y: (images,) int64. Raises UserError for a file that is missing
    or wrong.
    """
    return _part(folder, TRAINING), _part(folder, TEST)


def _part(folder: Path, names: tuple[str, ...]) -> Batch:
    import numpy as np

    records = np.concatenate([_records(folder / name) for name in names])
    return {"x": records[:, 1:].reshape(-1, *SHAPE), "y": records[:, 0].astype("int64")}


def _records(file: Path) -> Array:
    """Return the records of a file, (images, 3073) uint8."""
    import numpy as np

    content = read_contents(file, "--data-dir")
    if not content or len(content) % RECORD:
        what = f"its {len(content)} bytes are no records of {RECORD}"
        raise UserError(str(file), what, "give the binary version of CIFAR-10, unpacked")
    records = np.frombuffer(content, np.uint8).reshape(-1, RECORD)
    if records[:, 0].max() >= CLASSES:
        what = f"the label {records[:, 0].max()} is not one of the {CLASSES} classes from 0"
        raise UserError(str(file), what, "give the binary version of CIFAR-10")
    return records
