"""What the page's script knows of a run, as JSON that is safe inside HTML."""

from __future__ import annotations

import json
from collections.abc import Sequence
from math import inf
from pathlib import Path
from typing import Any

from gdcli.analysis.facts import Theory
from gdcli.analysis.rows import read_rows
from gdcli.engine.watched import FACTS
from gdcli.report.labels import apart
from gdcli.report.page.plain import plain
from gdcli.report.page.theory import edges
from gdcli.report.page.thinned import Thinned
from gdcli.report.pictures.source import NAMES, Source, label_of, metrics_of

# What diagnoses start from, and nobody looks for in a table.
OWN_FACTS = {name for name in FACTS if not name.startswith("diverged")}

SHARPNESS = "sharpness"


def curve_metrics(source: Source) -> list[str]:
    """Return what curves.csv has of each trial: the metrics, and the sharpness if measured."""
    measured = any(t.fact(f"final_{SHARPNESS}") is not None for t in source.run.trials)
    return [*metrics_of(source.run), *([SHARPNESS] if measured else [])]


def content(source: Source, curves: Thinned, theory: Theory | None) -> dict[str, Any]:
    """Return the trials as they stand in summary.csv, their settings' names and their curves."""
    header, cells = _table(source.folder)
    places = {setting.values: place for place, setting in enumerate(source.settings)}
    axes: dict[tuple[float, ...], int] = {}
    trials = [trial.id for trial in source.run.trials]
    epochs = [
        axes.setdefault(tuple(curves.epochs[trial]), len(axes)) if trial in curves.epochs else None
        for trial in trials
    ]
    metrics = curve_metrics(source)
    rates = apart(trial.lr for trial in source.run.trials)
    return {
        "columns": [_column(n, c) for n, c in zip(header, cells, strict=True)],
        "facets": _facets(header, cells, len(source.run.names)),
        "settings": [source.name(setting) for setting in source.settings],
        "rates": {cell: rates[float(cell)] for cell in dict.fromkeys(cells[header.index("lr")])},
        "setting": [places[trial.setting] for trial in source.run.trials],
        "lost": [place for place, t in enumerate(source.run.trials) if t.loss == inf],
        "metrics": [{"name": n, "label": label_of(n), "log": n in NAMES} for n in metrics],
        "edges": edges(source, theory) if theory and SHARPNESS in metrics else [],
        "axes": [[plain(epoch) for epoch in axis] for axis in axes],
        "epochs": epochs,
        "curves": {
            name: [[plain(v) for v in curves.values.get(t, {}).get(name, ())] for t in trials]
            for name in metrics
        },
    }


def _column(name: str, cells: Sequence[str]) -> dict[str, Any]:
    """Return a column as its distinct values, and the place among them of each cell."""
    places: dict[str, int] = {}
    at = [places.setdefault(cell, len(places)) for cell in cells]
    return {"name": name, "values": list(places), "at": at}


def embedded(value: object) -> str:
    """Return strict JSON that no HTML parser takes for a tag."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    for char in "<>&":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text


def _table(folder: Path) -> tuple[list[str], list[list[str]]]:
    """Return the columns of summary.csv but OWN_FACTS, each with its cells as text."""
    header, *rows = [row.cells for row in read_rows(folder / "summary.csv")]
    names = [f"{n} (varied)" if n in header[at + 1 :] else n for at, n in enumerate(header)]
    kept = [at for at, name in enumerate(names) if name not in OWN_FACTS]
    return [names[at] for at in kept], [[cells[at] for cells in rows] for at in kept]


def _facets(header: Sequence[str], cells: Sequence[Sequence[str]], settings: int) -> list[str]:
    """Return the settings with more than one value: they choose trials."""
    several = header[1 : settings + 3]  # with the learning rate and the seed, without the id
    return [n for n, column in zip(several, cells[1:], strict=False) if len(set(column)) > 1]
