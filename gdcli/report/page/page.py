"""A run as one HTML file that needs nothing else: no network, no server, no other file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gdcli.report.page import parts
from gdcli.report.page.content import content, embedded
from gdcli.report.page.document import document
from gdcli.report.page.optional import Sections
from gdcli.report.page.theory import theory_of
from gdcli.report.page.thinned import thinned_curves
from gdcli.report.pictures.source import metrics_of, read_source

# In this order: each may use what the ones before it define.
SCRIPTS = (
    *("data", "statistics", "chart", "choice", "curves", "sensitivity", "heatmap"),
    *("theory", "quantization", "landscape", "explored", "table"),
)


def page_bytes(folder: Path) -> bytes:
    """Return the page of a finished run; raises UserError where a file is missing or damaged."""
    source = read_source(folder, "train_loss")
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    curves = thinned_curves(folder, metrics_of(source.run), len(source.run.trials))
    sections = Sections.of(source, manifest)
    fields = {
        "name": parts.text(folder.resolve().name),
        "summary": parts.summary(source, manifest),
        "best": parts.best(source, theory_of(manifest)),
        "failures": parts.failures(source),
        "thinned": parts.thinned(curves),
        "reproduce": parts.reproduce(manifest, _experiment(folder)),
        "manifest": _manifest(manifest),
        "data": embedded(content(source, curves) | sections.data),
        "sections": "\n".join(sections.sections),
        "links": " ".join(sections.links),
    }
    return document("page.html", (*SCRIPTS, "main"), fields)


def _manifest(manifest: Mapping[str, Any]) -> str:
    whole = parts.pre(json.dumps(manifest, indent=2, ensure_ascii=False))
    return f"{parts.facts(manifest)}<details><summary>All of it</summary>{whole}</details>"


def _experiment(folder: Path) -> str:
    """Return the experiment as a file, "" where a copy came without it."""
    file = folder / "experiment.toml"
    return file.read_text(encoding="utf-8") if file.is_file() else ""
