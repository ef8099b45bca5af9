"""One line of a CSV file."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence


def csv_line(cells: Sequence[str]) -> str:
    """Return cells as a line, quoted where it needs be."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()
