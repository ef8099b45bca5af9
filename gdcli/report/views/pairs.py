"""Each setting beside the best, or two that are named, over the seeds that they share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from gdcli.report.run_view import TableView, ViewTable, theory_of_run

if TYPE_CHECKING:
    from pathlib import Path

    from gdcli.analysis.diagnoses import Diagnoses


@dataclass(frozen=True)
class PairsView(TableView):
    """Each setting compared with the best one, seed by seed."""

    order: ClassVar[float] = 40
    pair: Annotated[
        tuple[str, str] | None,
        "compare these two settings instead, by name or row of the results: 'gd vanilla,gd adam'",
    ] = None

    def table(self, folder: Path, diagnoses: Diagnoses) -> ViewTable:
        """Return a row for each setting but the best, or one row of the two that are named."""
        from gdcli.report import comparison

        del folder
        if self.pair is not None:
            rows = comparison.pair_of_run(diagnoses.run, self.pair, theory_of_run(diagnoses))
            return ViewTable(rows, comparison.NAMED_NOTES)
        rows = comparison.pair_rows(diagnoses.run)
        return ViewTable(rows, comparison.PAIR_NOTES if rows else comparison.NO_PAIRS)
