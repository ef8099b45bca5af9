"""A run as one HTML file that needs nothing else: no network, no server, no other file."""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from gdcli import __version__
from gdcli.report.page import parts
from gdcli.report.page.content import content, embedded
from gdcli.report.page.optional import Sections
from gdcli.report.page.own import own
from gdcli.report.page.thinned import thinned_curves
from gdcli.report.pictures.source import metrics_of, read_source

# In this order: each may use what the ones before it define.
SCRIPTS = (
    *("data", "statistics", "chart", "choice", "curves", "sensitivity", "heatmap"),
    *("theory", "landscape", "table"),
)


def page_bytes(folder: Path) -> bytes:
    """Return the page of a finished run; raises UserError where a file is missing or damaged."""
    source = read_source(folder, "train_loss")
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    curves = thinned_curves(folder, metrics_of(source.run), len(source.run.trials))
    sections = Sections.of(source, manifest)
    scripts = [_plotly(), "".join(map(own, (*(f"{name}.js" for name in SCRIPTS), "main.js")))]
    fields = {
        "name": parts.text(folder.resolve().name),
        "version": __version__,
        "summary": parts.summary(source, manifest),
        "best": parts.best(source),
        "failures": parts.failures(source),
        "thinned": parts.thinned(curves),
        "reproduce": parts.reproduce(manifest, _experiment(folder)),
        "manifest": _manifest(manifest),
        "data": embedded(content(source, curves) | sections.data),
        "sections": "\n".join(sections.sections),
        "links": " ".join(sections.links),
        "style": own("style.css"),
        "hashes": " ".join(map(_hash, scripts)),
        "scripts": "\n".join(f"<script>{script}</script>" for script in scripts),
    }
    return Template(own("page.html")).substitute(fields).encode()


def _plotly() -> str:
    """Return plotly.js as the installed package has it."""
    script = files("plotly").joinpath("package_data", "plotly.min.js").read_text(encoding="utf-8")
    # It would end the script that holds it.
    return script.replace("</script", r"<\/script").replace("\r\n", "\n")


def _hash(script: str) -> str:
    """Return what allows a script, and no other, in a content security policy."""
    return f"'sha256-{b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _manifest(manifest: Mapping[str, Any]) -> str:
    whole = parts.pre(json.dumps(manifest, indent=2, ensure_ascii=False))
    return f"{parts.facts(manifest)}<details><summary>All of it</summary>{whole}</details>"


def _experiment(folder: Path) -> str:
    """Return the experiment as a file, "" where a copy came without it."""
    file = folder / "experiment.toml"
    return file.read_text(encoding="utf-8") if file.is_file() else ""
