"""Each setting beside the best, or two that are named, over the seeds that they share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from gdcli.report.run_view import Table, TableView, theory_of_run

if TYPE_CHECKING:
    from pathlib import Path

    from gdcli.analysis.diagnoses import Diagnoses


@dataclass(frozen=True)
class Pairs(TableView):
    """Each setting beside the best over shared seeds."""

    order: ClassVar[float] = 40
    pair: Annotated[
        tuple[str, str] | None,
        "two settings to compare instead, by name or row of the results: 'gd vanilla,gd adam'",
    ] = None

    def table(self, folder: Path, diagnoses: Diagnoses) -> Table:
        """Return a row for each setting but the best, or one row of the two that are named."""
        from gdcli.report import pairs

        del folder
        if self.pair is not None:
            rows = pairs.pair_of_run(diagnoses.run, self.pair, theory_of_run(diagnoses))
            return Table(rows, pairs.NAMED_NOTES)
        rows = pairs.pair_rows(diagnoses.run)
        return Table(rows, pairs.PAIR_NOTES if rows else pairs.NO_PAIRS)
