"""One line of a CSV file."""

from __future__ import annotations

from collections.abc import Sequence

from gdcli.csv_cell import harmless, quoted


def csv_line(cells: Sequence[str]) -> str:
    """Return cells as a line, quoted where it needs be; no spreadsheet runs their texts."""
    return ",".join(quoted(harmless(cell)) for cell in cells) + "\n"
