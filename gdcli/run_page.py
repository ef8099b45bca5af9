"""A run as one HTML file that needs nothing else: no network, no server, no other file.

The sections of the page that only some runs have: theory, rounding, a landscape, examples.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from typing import Any

from gdcli import door
from gdcli.analysis.best import quantization_rows
from gdcli.analysis.diagnoses import Diagnoses, RateDiagnosis
from gdcli.analysis.theory import RunConstants
from gdcli.report.charts.charts import Source, read_source
from gdcli.report.page import html
from gdcli.report.page.content import content, curve_metrics, embedded, thinned_curves
from gdcli.report.page.html import DRAWING, document, own
from gdcli.report.page.views.quantization import quantization_content
from gdcli.report.page.views.theory import (
    problem_rows,
    theory_accounts,
    theory_content,
    theory_curves,
    theory_of,
)
from gdcli.report.page.views.why import why_section
from gdcli.runs.manifest import read as read_manifest
from gdcli.runs.trials import read_points
from gdcli.studies.explore.files import read_explored, same_examples
from gdcli.studies.explore.page import explored_content, flips_note, table_columns
from gdcli.studies.explore.show import in_percent
from gdcli.studies.landscape.page import NAME, landscape_content, read_landscape

MOST_PROBLEMS = 200


@dataclass
class Sections:
    """What these sections add to the page: their HTML, their links, and their data."""

    sections: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        source: Source,
        manifest: Mapping[str, Any],
        theory: RunConstants | None,
        told: Sequence[RateDiagnosis],
    ) -> Sections:
        """Return what there is of a run; raises UserError where a file of it is damaged.

        `told` is what theory says something of.
        """
        found = cls()
        if theory:
            found._add_theory(source, theory, told)
            found._add_quantization(source, theory)
        found._add_landscape(source)
        found._add_explored(source, manifest)
        return found

    def _add_theory(
        self, source: Source, theory: RunConstants, told: Sequence[RateDiagnosis]
    ) -> None:
        if not told:
            return
        content = theory_content(source, told)
        self.data["theory_curves"] = theory_curves(source, theory)
        rows = problem_rows(theory)[:MOST_PROBLEMS]
        self._add("theory", "Theory", content, problems=html.table(list(rows[0]), rows))

    def _add_quantization(self, source: Source, theory: RunConstants) -> None:
        rows = quantization_rows(source.run, source.settings, theory)
        if rows:
            table = html.table(list(rows[0]), rows)
            self._add("quantization", "Quantization", quantization_content(rows), rows=table)

    def _add_landscape(self, source: Source) -> None:
        scene = read_landscape(source.folder)
        if scene is None:
            return
        content = landscape_content(scene, [trial.id for trial in source.run.trials])
        if content is None:
            note = f"{NAME} beside this run has none of its trials, and is not shown."
            self.sections.append(f"<p class='note' id='landscape'>{note}</p>")
            return
        self._add("landscape", "Landscape", content)

    def _add_explored(self, source: Source, manifest: Mapping[str, Any]) -> None:
        found = read_explored(source.folder)
        if found is None:
            return
        if not same_examples(found.study, manifest):
            note = "explore beside this run is of another problem, or other data: not shown."
            self.sections.append(f"<p class='note' id='explored'>{note}</p>")
            return
        table = html.table(table_columns(found), map(in_percent, found.table))
        wrong = flips_note(found)
        self._add("explored", "Examples", explored_content(found), table=table, wrong=wrong)

    def _add(self, name: str, title: str, content: dict[str, Any], **fields: str) -> None:
        self.sections.append(Template(own(f"{name}.html")).substitute(fields))
        self.links.append(f'<a href="#{name}">{title}</a>')
        self.data[name] = content


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
        "name": html.text(folder.resolve().name),
        "summary": html.summary(source, manifest),
        "result": html.result(source, diagnoses),
        "why": why_section(source, diagnoses) if source.settings else "",
        "why_link": '<a href="#why">Why</a>' if source.settings else "",
        "best": html.best(source, diagnoses),
        "failures": html.failures(source),
        "thinned": html.thinned(curves),
        "reproduce": html.reproduce(manifest, _experiment(folder)),
        "manifest": _manifest(manifest),
        "data": embedded(content(source, curves, theory) | sections.data),
        "sections": "\n".join(sections.sections),
        "links": " ".join(sections.links),
    }


def _manifest(manifest: Mapping[str, Any]) -> str:
    whole = html.pre(json.dumps(manifest, indent=2, ensure_ascii=False))
    return f"{html.facts(manifest)}<details><summary>All of it</summary>{whole}</details>"


def _experiment(folder: Path) -> str:
    """Return the experiment as a file, "" where a copy came without it."""
    file = folder / "experiment.toml"
    return door.text(file) if file.exists() else ""
