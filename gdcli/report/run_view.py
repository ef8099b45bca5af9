"""What `gdcli show --view NAME` asks of a view: one file in gdcli/report/views, found by its name.

The file has one class of this contract, a frozen dataclass. The first line of its docstring is its
help, and its fields are options of `gdcli show` that only this view takes. The help imports every
view: what takes long to import, such as numpy, is imported inside of methods.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple, TypeAlias, cast

from gdcli.catalog.classes import import_part, only_class
from gdcli.report.text_tables import print_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

    from gdcli.analysis.diagnoses import Diagnoses
    from gdcli.analysis.theory import RunConstants
    from gdcli.runs.csv_read import Value

Row: TypeAlias = "Mapping[str, Value]"


class RunView(ABC):
    """What one `--view` prints of a run."""

    order: ClassVar[float] = 100  # its place among the views in the help

    @abstractmethod
    def print(self, folder: Path, diagnoses: Diagnoses, form: str, console: Console) -> None:
        """Print the view in the `form` table, csv, json or md.

        `folder` is the run's folder; `diagnoses.run` holds its trials, and `diagnoses.theory` what
        its manifest knows of its problems. Raises UserError where the run has nothing to show.
        """


class ViewTable(NamedTuple):
    """Rows, dictionaries with the same keys, and the lines below them: what the columns mean."""

    rows: Sequence[Row]
    notes: Sequence[str] = ()


class TableView(RunView):
    """A view that is one table."""

    @abstractmethod
    def table(self, folder: Path, diagnoses: Diagnoses) -> ViewTable:
        """Return the table, as `print` is given the run."""

    def print(self, folder: Path, diagnoses: Diagnoses, form: str, console: Console) -> None:
        """Print the rows: in full as csv and json, rounded as md, with notes as a table."""
        rows, notes = self.table(folder, diagnoses)
        print_rows(rows, form, console, notes, [trial.lr for trial in diagnoses.run.trials])


def theory_of_run(diagnoses: Diagnoses) -> RunConstants:
    """Return what the run's manifest knows: `show` opens no run that has none."""
    return cast("RunConstants", diagnoses.theory)


@cache
def run_views() -> Mapping[str, type[RunView]]:
    """Return the views by their names, in the order of the help."""
    found: dict[str, type[RunView]] = {}
    for file in Path(__file__).with_name("views").glob("[!_]*.py"):
        module = import_part(f"{__package__}.views.{file.stem}")
        found[file.stem.replace("_", "-")] = only_class(module, RunView)
    return dict(sorted(found.items(), key=lambda item: (item[1].order, item[0])))
