"""What is printed of a gradient that was checked by differences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from gdcli.report.labels import apart
from gdcli.report.rows import print_rows

if TYPE_CHECKING:
    from rich.console import Console

    from gdcli.analysis.rows import Value
    from gdcli.studies.gradcheck import Checked
    from gdcli.studies.options import GradientCheck

MOST_KINKS = 5  # that are named


def print_checked(
    found: Sequence[Checked], check: GradientCheck, form: str, console: Console
) -> None:
    """Print a row a parameter: its entry on which both ways agree least."""
    rows: list[dict[str, Value]] = [
        {
            "parameter": one.name,
            "shape": one.shape,
            "checked": one.entries,
            "kinks": len(one.kinks),
            "backpropagation": one.slope,
            "differences": one.quotient,
            "relative difference": one.difference,
            "allowed": one.allowed,
            "agrees": "yes" if one.agrees else "no",
        }
        for one in found
    ]
    print_rows(rows, form, console, list(_said(found, check)))


def _said(found: Sequence[Checked], check: GradientCheck) -> Iterator[str]:
    yield "each row shows the entry on which the two agree least, at the start; the last row is the"
    yield "  slope in one random direction, which depends on every entry"
    yield f"allowed: {check.tolerance:g} of the larger slope, and the rounding error of differences"
    kinks = [kink for one in found for kink in one.kinks]
    for kink in kinks[:MOST_KINKS]:
        sides = apart([kink.left, kink.right])
        yield f"{kink.entry}: the loss has a kink within the step, as relu has: the difference"
        yield f"  quotient is {sides[kink.left]} on the left and {sides[kink.right]} on the right"
    if len(kinks) > MOST_KINKS:
        yield f"kinks that are not listed: {len(kinks) - MOST_KINKS}"
    if not all(one.agrees for one in found):
        yield "no: the two differ by more than is allowed at two steps, and no kink explains it:"
        yield "  the gradient is wrong, or the loss jumps or has no value nearby"
