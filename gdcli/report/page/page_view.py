"""What a run's page asks of a view: one section of the page, in one file that is found.

Views are the classes of this contract in gdcli/report/page/views, and in section.py of a study.
What a view returns is drawn without any HTML or JavaScript of its own: paragraphs, a list, a table
and a chart. A view that needs more has a template and a script, as texts of its class or as files
beside its own, called after it: NAME.html and NAME.js.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias, get_args

from gdcli.analysis.diagnoses import Diagnoses, RateDiagnosis
from gdcli.analysis.theory import RunConstants
from gdcli.catalog.classes import classes_by, import_part
from gdcli.report.charts.chart import Chart
from gdcli.report.charts.charts import MetricOfRun
from gdcli.report.page.content import PACKAGE, Thinned

if TYPE_CHECKING:
    from gdcli.runs.csv_read import Value

Row: TypeAlias = "Mapping[str, Value]"
Place: TypeAlias = Literal["above", "charts", "below"]
PLACES = get_args(Place)


@dataclass(frozen=True)
class PageRun:
    """A run as the views of its page see it."""

    source: MetricOfRun  # its folder, its trials, its settings and their names
    manifest: Mapping[str, Any]
    theory: RunConstants | None  # what the manifest knows of the problems
    diagnoses: Diagnoses
    accounts: Sequence[
        RateDiagnosis
    ]  # the settings and learning rates of which theory says something
    curves: Thinned  # as many points of each trial as the page holds
    facets: Sequence[str]  # the options that differ between trials: the reader chooses by them


@dataclass(frozen=True)
class Content:
    """What a view shows, from top to bottom."""

    text: Sequence[str] = ()  # paragraphs
    items: Sequence[str] = ()  # a list
    rows: Sequence[Row] = ()  # a table: rows with the same keys
    table: str = ""  # what the table is, for people who hear the page
    selects: Mapping[str, str] = field(default_factory=dict)  # ids and labels: for the script
    chart: Chart | None = None  # drawn by the page
    figure: str = ""  # what the numbers of a chart are called that the view's script draws
    notes: Sequence[str] = ()  # in small print
    fields: Mapping[str, object] = field(default_factory=dict)  # what the view's template prints
    data: object = None  # JSON that the view's script finds as run.views.NAME
    scripted: bool = True  # whether the view's script, if it has one, is on the page


class PageView(ABC):
    """One section of a run's page."""

    name: ClassVar[str]  # its id on the page, of letters, digits and hyphens
    title: ClassVar[str]  # of the link to it
    heading: ClassVar[str] = ""  # "": the title
    place: ClassVar[Place] = "charts"  # above or below the charts of the chosen trials, or there
    order: ClassVar[float] = 50  # among the sections of its place
    template: ClassVar[str] = ""  # Jinja2; "": the file NAME.html, if there is one
    script: ClassVar[str] = ""  # JavaScript; "": the file NAME.js, if there is one

    @abstractmethod
    def content(self, run: PageRun) -> Content | None:
        """Return what the section shows; None where it has nothing to say of this run."""

    def asset(self, kind: Literal["html", "js"]) -> str:
        """Return the view's template (html) or script (js), "" where it has none."""
        own = self.template if kind == "html" else self.script
        file = Path(sys.modules[type(self).__module__].__file__ or "").with_name(
            f"{self.name}.{kind}"
        )
        return own or (file.read_text(encoding="utf-8") if file.is_file() else "")


def page_views() -> list[PageView]:
    """Return the views in the order of the page; raises UserError for a file that holds none."""
    files = (*PACKAGE.glob("report/page/views/[!_]*.py"), *PACKAGE.glob("studies/*/section.py"))
    names = (
        ".".join(("gdcli", *file.relative_to(PACKAGE).with_suffix("").parts))
        for file in sorted(files)
    )
    found = classes_by(map(import_part, names), PageView, "name")
    views: list[PageView] = [cls() for cls in found.values()]
    return sorted(views, key=lambda view: (PLACES.index(view.place), view.order, view.name))
