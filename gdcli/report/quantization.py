"""What is printed of networks of a few bits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from gdcli.analysis.quantization import quantization_rows
from gdcli.errors import UserError

if TYPE_CHECKING:
    from gdcli.analysis.facts import Theory
    from gdcli.analysis.results import Setting
    from gdcli.analysis.rows import Value
    from gdcli.analysis.trials import Trials

QUANTIZATION_NOTES = (
    "scores are medians over the seeds at the best lr; drop: what rounding costs of them",
    "bytes: weights of the given bits, a float for each output's scale, and the other parameters",
)


def quantized_rows(
    run: Trials, settings: Sequence[Setting], theory: Theory
) -> list[Mapping[str, Value]]:
    """Return the rows of networks that are rounded; raises UserError where none is."""
    rows = quantization_rows(run, settings, theory)
    if not rows:
        what = "no network of the run is rounded"
        raise UserError("--view", what, "give gdcli run --vary quantize=none,ptq,qat")
    return rows
