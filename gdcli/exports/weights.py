"""What is exported of one trial's weights, which are found by training it again.

Arrays by any names as the bytes of an .npz file, the same for the same arrays.
"""

from __future__ import annotations

import io
import zipfile
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from gdcli.exports.target import refuse_existing
from gdcli.runs import atomic
from gdcli.studies.again import trained_again

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from gdcli.runs.progress import Progress


def export(  # noqa: PLR0913 -- what, of whom, where to, and on what terms
    to: str,
    folder: Path,
    trial: str,
    file: Path | None,
    make_bar: Callable[[], Progress],
    *,
    trust: bool,
    overwrite: bool,
) -> tuple[bytes, str]:
    """Train a trial of a run again and write its weights as `to` has them.

    Return the content, which is all that is made of it where there is no file, and what to tell.
    """
    if file is not None:
        refuse_existing([file], overwrite=overwrite)
    kind = import_module(f"gdcli.exports.to_{to}")
    weights = trained_again(folder, trial, make_bar, trust=trust, check=kind.check)
    content: bytes = kind.content(weights)
    if file is not None:
        atomic.write(file, [content])
    said = f"after step {weights.step}, with a training loss of {weights.loss:.6g}"
    return (
        content,
        f"trial {trial} was trained again, and {weights.how}: its weights are those {said}",
    )


def npz(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return the file, without pickled objects.

    numpy.savez takes the names as its own arguments: it has no array that is called file.
    """
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, array in arrays.items():
            info = zipfile.ZipInfo(f"{name}.npy")  # of 1980, whenever it is written
            with archive.open(info, "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, np.asanyarray(array), allow_pickle=False)
    return packed.getvalue()
