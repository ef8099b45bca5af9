"""Why each setting and learning rate did what it did, as a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from gdcli.report.run_view import RunView

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from gdcli.analysis.diagnoses import Diagnoses


@dataclass(frozen=True)
class WhyView(RunView):
    """Why each learning rate did what it did."""

    order: ClassVar[float] = 20

    def print(self, folder: Path, diagnoses: Diagnoses, form: str, console: Console) -> None:
        """Print the columns that fit a terminal, or all figures as csv or json."""
        from gdcli.report.results import print_why

        print_why(folder, diagnoses, form, console)
