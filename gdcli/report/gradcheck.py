"""What is printed of a gradient that was checked by differences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from gdcli.report.rows import print_rows

if TYPE_CHECKING:
    from rich.console import Console

    from gdcli.analysis.rows import Value
    from gdcli.studies.gradcheck import Checked
    from gdcli.studies.options import GradientCheck


def print_checked(
    found: Sequence[Checked], check: GradientCheck, form: str, console: Console
) -> None:
    """Print a row a parameter: its entry on which both ways agree least."""
    rows: list[dict[str, Value]] = [
        {
            "parameter": one.name,
            "shape": "x".join(map(str, one.shape)),
            "checked": one.entries,
            "backpropagation": one.slope,
            "differences": one.quotient,
            "relative difference": one.difference,
            "agrees": "yes" if one.difference <= check.tolerance else "no",
        }
        for one in found
    ]
    print_rows(rows, form, console, list(_said(found, check)))


def _said(found: Sequence[Checked], check: GradientCheck) -> Iterator[str]:
    yield "shown is the entry of each parameter on which the two agree least, at the start"
    if any(one.difference > check.tolerance for one in found):
        yield f"they differ by more than {check.tolerance:g}: the gradient is wrong, or the loss"
        yield "  has a kink there, as relu has: another --seed starts elsewhere"
