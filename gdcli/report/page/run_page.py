"""A run as one HTML file that needs nothing else, and the contract of the views in it.

Views are the classes of this contract in gdcli/report/page/views, and in section.py of a study.
What a view returns is drawn without any HTML or JavaScript of its own: paragraphs, a list, a table
and a chart. A view that needs more has a template and a script, as texts of its class or as files
beside its own, called after it: NAME.html and NAME.js.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, TypeAlias, get_args

from gdcli.analysis.diagnoses import CurveComparison, Diagnoses, RateDiagnosis, rate_diagnosis
from gdcli.analysis.theory import RunConstants
from gdcli.catalog.classes import classes_by, import_part
from gdcli.fields import counted
from gdcli.report.charts.chart import Chart
from gdcli.report.charts.charts import MetricOfRun, read_source
from gdcli.report.page.content import (
    DRAWING,
    PACKAGE,
    Thinned,
    asset,
    chart_content,
    content,
    curve_metrics,
    document,
    embedded,
    rendered,
    scripts_of,
    thinned_curves,
)
from gdcli.runs.manifest import read as read_manifest
from gdcli.runs.trials import STATUSES, read_curves

if TYPE_CHECKING:
    from markupsafe import Markup

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


# In this order: each may use what the ones before it define.
SCRIPTS = tuple(
    f"report/page/{name}.js" for name in ("data", "statistics", "metrics", "choice", "sections")
)


class Section(NamedTuple):
    """A view that has something to say of the run, and its HTML."""

    view: PageView
    content: Content
    body: Markup


def page_bytes(folder: Path) -> bytes:
    """Return the page of a finished run; raises UserError where a file is missing or damaged."""
    # What the fields are made of is gone before the page is put together: both are large.
    sections, fields = _read(folder)
    # A block each, so that the names of one view are not another's.
    scripts = [
        f"{{\n{script}}}\n"
        for section in sections
        if section.content.scripted and (script := section.view.asset("js"))
    ]
    script = scripts_of(*DRAWING, *SCRIPTS) + "".join(scripts) + asset("report/page/main.js")
    return document("report/page/page.html", script, {**fields, "sections": sections})


def _read(folder: Path) -> tuple[list[Section], dict[str, object]]:
    """Return the sections of a run's page, and what else its template prints."""
    source = read_source(folder, "train_loss")
    manifest = read_manifest(folder)
    theory = RunConstants(manifest) if manifest.get("theory") else None
    diagnoses, metrics = Diagnoses(source.run, theory), curve_metrics(source)
    told = theory_accounts(source, diagnoses)
    why = sharpness_accounts(source, diagnoses)
    columns = dict.fromkeys(("epoch", *metrics, *told.columns, *why.columns))
    points = why.measuring(told.measuring(read_curves(folder, columns)))
    curves = thinned_curves(points, metrics, len(source.run.trials))
    whole = content(source, curves, theory)
    run = PageRun(source, manifest, theory, diagnoses, told.measured(), curves, whole["facets"])
    sections = [_section(view, shown) for view in page_views() if (shown := view.content(run))]
    views = {s.view.name: s.content.data for s in sections if s.content.data is not None}
    charts = {s.view.name: chart_content(s.content.chart) for s in sections if s.content.chart}
    fields: dict[str, object] = {
        "name": folder.resolve().name,
        "summary": _summary(source, manifest),
        "data": embedded({**whole, "views": views, "charts": charts}),
    }
    return sections, fields


def _section(view: PageView, shown: Content) -> Section:
    template = view.asset("html") or asset("report/page/section.html")
    body = rendered(template, {**shown.fields, "view": view, "content": shown})
    return Section(view, shown, body)


def theory_accounts(source: MetricOfRun, diagnoses: Diagnoses) -> CurveComparison:
    """Return the settings and learning rates of which theory says something."""
    return CurveComparison(
        [
            rate_diagnosis(diagnoses, setting, cell)
            for setting in source.settings
            for cell in setting.candidates
            if (expected := diagnoses.expected(setting.values, cell.lr))
            and any((expected.limit, expected.rate, expected.floor))
        ]
    )


def sharpness_accounts(source: MetricOfRun, diagnoses: Diagnoses) -> CurveComparison:
    """Return all settings and learning rates, if the sharpness of the run was measured."""
    settings = source.settings if "sharpness" in source.run.metrics else ()
    pairs = [(setting, cell) for setting in settings for cell in setting.candidates]
    return CurveComparison([rate_diagnosis(diagnoses, *pair) for pair in pairs])


def _summary(source: MetricOfRun, manifest: Mapping[str, Any]) -> str:
    """Return the sentence under the title."""
    counts = Counter(trial.status for trial in source.run.trials)
    ends = ", ".join(f"{counts[status]} {status}" for status in STATUSES)
    experiment = manifest.get("experiment")
    problem = experiment.get("problem") if isinstance(experiment, dict) else None
    return (
        f"{problem or 'a problem'}: {counted(len(source.run.trials), 'trial', 'trials')}, {ends}."
    )
