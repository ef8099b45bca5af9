"""A run as one HTML file that needs nothing else: no network, no server, no other file."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from gdcli.analysis.diagnoses import CurveComparison, Diagnoses, rate_diagnosis
from gdcli.analysis.theory import RunConstants
from gdcli.fields import counted
from gdcli.report.charts.charts import MetricOfRun, read_source
from gdcli.report.page.content import (
    DRAWING,
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
from gdcli.report.page.page_view import Content, PageRun, PageView, page_views
from gdcli.runs.manifest import read as read_manifest
from gdcli.runs.trials import STATUSES, read_curves

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from markupsafe import Markup

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
