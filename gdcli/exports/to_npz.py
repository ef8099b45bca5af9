"""One trial's weights as an .npz file: an array for each parameter and buffer, by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gdcli.exports.weights import npz

if TYPE_CHECKING:
    from gdcli.experiment.grid import Trial
    from gdcli.studies.again import Weights


def check(trial: Trial) -> None:
    """Refuse no trial: each has parameters with names."""


def content(weights: Weights) -> bytes:
    """Return the file."""
    return npz(weights.params | weights.carried)
