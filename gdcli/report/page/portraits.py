"""What an example looks like: a picture, or its features in a row, as they were before scaling."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from gdcli.engine.examples import load
from gdcli.report.page.png import KINDS, png

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gdcli.experiment.grid import Trial

PIXEL = re.compile(r"pixel_(\d+)_(\d+)")
MOST_FEATURES = 64  # of a row
DIGITS = 4


def portraits(
    trial: Trial, examples: NDArray[np.int64], names: Sequence[str] = ()
) -> dict[str, Any]:
    """Return {"images": PNG files in base 64} of examples, or their "rows" and feature "names"."""
    x = _unscaled(trial)
    if x.ndim == 2 and names and all(map(PIXEL.fullmatch, names)):
        height, width = (1 + max(int(PIXEL.fullmatch(n)[k]) for n in names) for k in (1, 2))  # type: ignore[index]
        x = x.reshape(-1, 1, height, width)
    if x.ndim == 4 and x.shape[1] in KINDS:
        return {"images": _images(x, examples)}
    flat = x.reshape(len(x), -1)
    count = flat.shape[1]
    named = list(names) if len(names) == count else [f"x{i}" for i in range(count)]
    shown = flat[examples][:, :MOST_FEATURES].tolist()
    rows = [[float(f"{value:.{DIGITS}g}") for value in row] for row in shown]
    return {"rows": rows, "names": named[:MOST_FEATURES], "features": count}


def _unscaled(trial: Trial) -> NDArray[Any]:
    """Return the training examples as the file has them, in the order in which they are trained.

    What is drawn for them, such as the split, does not depend on the scale.
    """
    problem = trial.problem
    if "scale" in {field.name for field in fields(problem)}:
        problem = replace(problem, scale="none")  # type: ignore[call-arg]
    x: NDArray[Any] = load(problem, trial.training.data_seed).train["x"]
    return x


def _images(x: NDArray[Any], examples: Sequence[int] | NDArray[np.int64]) -> list[str]:
    low, high = float(x.min()), float(x.max())
    scaled = 255 * (x[examples] - low) / ((high - low) or 1.0)
    pixels = np.moveaxis(scaled.round().astype(np.uint8), 1, -1)
    return [b64encode(png(image)).decode() for image in pixels]
