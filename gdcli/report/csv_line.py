"""One line of a CSV file."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from gdcli.csv_cell import harmless


def csv_line(cells: Sequence[str]) -> str:
    """Return cells as a line, quoted where it needs be; no spreadsheet runs their texts."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(map(harmless, cells))
    return text.getvalue()
