"""What rounding a network to a few bits costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from gdcli.report.run_view import TableView, ViewTable, theory_of_run

if TYPE_CHECKING:
    from pathlib import Path

    from gdcli.analysis.diagnoses import Diagnoses


@dataclass(frozen=True)
class QuantizationView(TableView):
    """What rounding a network to a few bits costs."""

    order: ClassVar[float] = 60

    def table(self, folder: Path, diagnoses: Diagnoses) -> ViewTable:
        """Return one row for each way of rounding a network."""
        from gdcli.report.results import QUANTIZATION_NOTES, quantized_rows

        del folder
        rows = quantized_rows(diagnoses.run, diagnoses.settings, theory_of_run(diagnoses))
        return ViewTable(rows, QUANTIZATION_NOTES)
