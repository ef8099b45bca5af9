"""A run as one HTML file that needs nothing else: no network, no server, no other file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gdcli import door
from gdcli.analysis.diagnoses import Diagnoses
from gdcli.report.charts.charts import read_source
from gdcli.report.page import parts
from gdcli.report.page.content import content, curve_metrics, embedded
from gdcli.report.page.document import DRAWING, document
from gdcli.report.page.optional import Sections
from gdcli.report.page.theory import theory_accounts, theory_of
from gdcli.report.page.thinned import thinned_curves
from gdcli.report.page.why import why_section
from gdcli.runs.manifest import read as read_manifest
from gdcli.runs.trials import read_points

# In this order: each may use what the ones before it define.
SCRIPTS = (
    *DRAWING,
    *("data", "statistics", "metrics", "choice", "curves", "sensitivity", "heatmap"),
    *("theory", "quantization", "landscape", "explored", "table"),
)


def page_bytes(folder: Path) -> bytes:
    """Return the page of a finished run; raises UserError where a file is missing or damaged."""
    # What the fields are made of is gone before the page is put together: both are large.
    return document("page.html", (*SCRIPTS, "main"), _fields(folder))


def _fields(folder: Path) -> dict[str, str]:
    """Return what the page's placeholders stand for."""
    source = read_source(folder, "train_loss")
    manifest = read_manifest(folder)
    theory, metrics = theory_of(manifest), curve_metrics(source)
    diagnoses = Diagnoses(source.run, theory)
    told = theory_accounts(source, diagnoses)
    points = read_points(folder, dict.fromkeys(("epoch", *metrics, *told.columns)))
    curves = thinned_curves(folder, told.measuring(points), metrics, len(source.run.trials))
    sections = Sections.of(source, manifest, theory, told.accounts())
    return {
        "name": parts.text(folder.resolve().name),
        "summary": parts.summary(source, manifest),
        "result": parts.result(source, diagnoses),
        "why": why_section(source, diagnoses) if source.settings else "",
        "why_link": '<a href="#why">Why</a>' if source.settings else "",
        "best": parts.best(source, diagnoses),
        "failures": parts.failures(source),
        "thinned": parts.thinned(curves),
        "reproduce": parts.reproduce(manifest, _experiment(folder)),
        "manifest": _manifest(manifest),
        "data": embedded(content(source, curves, theory) | sections.data),
        "sections": "\n".join(sections.sections),
        "links": " ".join(sections.links),
    }


def _manifest(manifest: Mapping[str, Any]) -> str:
    whole = parts.pre(json.dumps(manifest, indent=2, ensure_ascii=False))
    return f"{parts.facts(manifest)}<details><summary>All of it</summary>{whole}</details>"


def _experiment(folder: Path) -> str:
    """Return the experiment as a file, "" where a copy came without it."""
    file = folder / "experiment.toml"
    return door.text(file) if file.exists() else ""
