"""Whether a contestant computes the losses that gdcli computes: asked before any time counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.worker import Timing

# Of the larger of the loss and a millionth of where it started. On a GPU, convolutions in
# float32 multiply with the 10 bits of TF32.
TOLERANCE = {("float64", "cpu"): 1e-10, ("float32", "cpu"): 2e-5}
LOOSE = {"float64": 1e-7, "float32": 1e-3}


class DisagreementError(Exception):
    """Two contestants do not compute the same losses."""


def check(name: str, timing: Timing, reference: Timing, dtype: str, device: str) -> None:
    """Raise DisagreementError unless a contestant's losses are gdcli's on the same trials.

    Also if no loss has moved far enough for an agreement to mean anything.
    """
    tolerance = TOLERANCE.get((dtype, device), LOOSE[dtype])
    pairs = [
        *zip(timing.before, reference.before, reference.before, strict=True),
        *zip(timing.after, reference.after, reference.before, strict=True),
    ]
    apart = max(abs(a - b) / max(abs(b), 1e-6 * abs(start)) for a, b, start in pairs)
    if not apart <= tolerance:
        raise DisagreementError(f"{name}'s losses are {apart:.1e} from gdcli's ({dtype})")
    moved = max(abs(a / b - 1) for a, b in zip(reference.after, reference.before, strict=True))
    if not 10 * tolerance < moved < 1e6:
        raise DisagreementError(f"the losses moved by {moved:.1e}: too little or much to compare")
