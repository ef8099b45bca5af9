"""A run in short: its best learning rates, why, and its curves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from gdcli.report.run_view import RunView

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from gdcli.analysis.diagnoses import Diagnoses


@dataclass(frozen=True)
class ResultsView(RunView):
    """Best learning rates and curves."""

    order: ClassVar[float] = 10

    def print(self, folder: Path, diagnoses: Diagnoses, form: str, console: Console) -> None:
        """Print all of it as a table, or the best learning rates alone in another form."""
        from gdcli.report.results import print_results

        print_results(folder, form, console, diagnoses)
