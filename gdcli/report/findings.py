"""What a verification found, check by check."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from gdcli.report.listing import print_listing

if TYPE_CHECKING:
    from rich.console import Console

    from gdcli.runs.finding import Finding

PLACE = ("table", "trial", "step", "column", "recorded", "found")


def print_findings(findings: Sequence[Finding], form: str, console: Console) -> None:
    """Print a row a check; csv and json have the place of the first difference apart, too."""
    print_listing([_row(f, apart=form in ("csv", "json")) for f in findings], form, console)


def _row(finding: Finding, *, apart: bool) -> dict[str, str]:
    row = {"check": finding.check, "result": finding.result, "detail": finding.detail}
    if apart:
        place = asdict(finding.difference) if finding.difference else {}
        row |= {name: place.get(name, "") for name in PLACE}
    return row
