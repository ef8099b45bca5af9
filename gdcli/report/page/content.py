"""What the page's script knows of a run, as JSON that is safe inside HTML."""

from __future__ import annotations

import json
from collections.abc import Sequence
from math import inf
from pathlib import Path
from typing import Any, NamedTuple

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
    columns = _table(source.folder)
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
        "columns": [{"name": c.name, "values": list(c.places), "at": c.at} for c in columns],
        "facets": _facets(columns, len(source.run.names)),
        "settings": [source.name(setting) for setting in source.settings],
        "rates": {cell: rates[float(cell)] for cell in _named(columns, "lr").places},
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


def embedded(value: object) -> str:
    """Return strict JSON that no HTML parser takes for a tag."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    for char in "<>&":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text


class _Column(NamedTuple):
    """A column as its distinct values, with their places, and the place of each cell."""

    name: str
    places: dict[str, int]
    at: list[int]

    def add(self, cell: str) -> None:
        """Take one more cell."""
        self.at.append(self.places.setdefault(cell, len(self.places)))


def _table(folder: Path) -> list[_Column]:
    """Return the columns of summary.csv but OWN_FACTS, of which one row at a time is read."""
    rows = read_rows(folder / "summary.csv")
    header = next(rows).cells
    names = [f"{n} (varied)" if n in header[at + 1 :] else n for at, n in enumerate(header)]
    kept = [(at, _Column(name, {}, [])) for at, name in enumerate(names) if name not in OWN_FACTS]
    for row in rows:
        for at, column in kept:
            column.add(row.cells[at])
    return [column for _, column in kept]


def _named(columns: Sequence[_Column], name: str) -> _Column:
    return next(column for column in columns if column.name == name)


def _facets(columns: Sequence[_Column], settings: int) -> list[str]:
    """Return the settings with more than one value: they choose trials."""
    several = columns[1 : settings + 3]  # with the learning rate and the seed, without the id
    return [column.name for column in several if len(column.places) > 1]
