"""One trial's weights as an .npz file, an array for each parameter and buffer."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np

from gdcli.exports.exporter import WeightsExporter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from gdcli.studies.training import Weights


class ToNpz(WeightsExporter):
    """A file of arrays; each trial has parameters with names."""

    endings = (".npz",)

    def content(self, weights: Weights) -> bytes:
        """Return the file."""
        return npz(weights.params | weights.buffers)


def npz(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return arrays by any names as the bytes of an .npz file, the same for the same arrays.

    There are no pickled objects in it. numpy.savez takes the names as its own arguments: it has
    no array that is called file.
    """
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, array in arrays.items():
            info = zipfile.ZipInfo(f"{name}.npy")  # of 1980, whenever it is written
            with archive.open(info, "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, np.asanyarray(array), allow_pickle=False)
    return packed.getvalue()
