"""Images of 28 x 28 random pixels, in IDX files as MNIST has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

MOST = 256  # images


def write_images(folder: Path) -> None:
    """Write the four files of a set that `gdcli run cnn --dataset mnist --data-dir` reads."""
    rng = np.random.default_rng(0)
    for part, count in (("train", MOST), ("t10k", 10)):
        images = rng.integers(256, size=(count, 28, 28), dtype=np.uint8)
        classes = rng.integers(10, size=count, dtype=np.uint8)
        _write(folder / f"{part}-images-idx3-ubyte", images)
        _write(folder / f"{part}-labels-idx1-ubyte", classes)


def _write(file: Path, values: np.ndarray) -> None:
    sizes = b"".join(size.to_bytes(4, "big") for size in values.shape)
    file.write_bytes(bytes([0, 0, 8, values.ndim]) + sizes + values.tobytes())
