"""What the page's script knows of a run, as JSON that is safe inside HTML."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Sequence
from math import inf
from pathlib import Path
from typing import Any, TypeVar

from gdcli.analysis.theory import RunConstants
from gdcli.engine.watched import FACTS
from gdcli.report.charts.charts import NAMES, Source, label_of, metrics_of
from gdcli.report.labels import distinct_labels
from gdcli.report.page.plain import packed, plain
from gdcli.report.page.theory import edges
from gdcli.report.page.thinned import Thinned
from gdcli.runs.csv_read import read_blocks

_Place = TypeVar("_Place", int, int | None)

# What diagnoses start from, and nobody looks for in a table.
OWN_FACTS = {name for name in FACTS if not name.startswith("diverged")}

SHARPNESS = "sharpness"


def curve_metrics(source: Source) -> list[str]:
    """Return what curves.csv has of each trial: the metrics, and the sharpness if measured."""
    measured = any(t.fact(f"final_{SHARPNESS}") is not None for t in source.run.trials)
    return [*metrics_of(source.run), *([SHARPNESS] if measured else [])]


def content(source: Source, curves: Thinned, theory: RunConstants | None) -> dict[str, Any]:
    """Return the trials as they stand in summary.csv, their settings' names and their curves."""
    columns = _table(source.folder, len(source.run.trials))
    places = {setting.values: place for place, setting in enumerate(source.settings)}
    axes: dict[tuple[float, ...], int] = {}
    trials = [trial.id for trial in source.run.trials]
    epochs = [
        axes.setdefault(curves.epochs[trial], len(axes)) if trial in curves.epochs else None
        for trial in trials
    ]
    metrics = curve_metrics(source)
    rates = distinct_labels(trial.lr for trial in source.run.trials)
    return {
        "trials": len(trials),
        "columns": [column.content() for column in columns],
        "facets": _facets(columns, len(source.run.names)),
        "settings": [source.name(setting) for setting in source.settings],
        "rates": {cell: rates[float(cell)] for cell in _named(columns, "lr").distinct()},
        "setting": _shared([places[trial.setting] for trial in source.run.trials]),
        "lost": [place for place, t in enumerate(source.run.trials) if t.loss == inf],
        "metrics": [{"name": n, "label": label_of(n), "log": n in NAMES} for n in metrics],
        "edges": edges(source, theory) if theory and SHARPNESS in metrics else [],
        "axes": [[plain(epoch) for epoch in axis] for axis in axes],
        "epochs": _shared(epochs),
        "curves": {name: packed(curves.of(name, trials)) for name in metrics},
    }


def embedded(value: object) -> str:
    """Return strict JSON that no HTML parser takes for a tag."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    for char in "<>&":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text


def _shared(values: list[_Place]) -> list[_Place] | _Place:
    """Return what each trial has, once where it is the same of all."""
    return values[0] if len(set(values)) == 1 else values


class _Column:
    """A column of summary.csv: its distinct values and the place of each cell, or its cells.

    The latter where there are so many values that places would make it no smaller.
    """

    def __init__(self, name: str, most: int) -> None:
        """Take the name, and how many distinct values are worth places."""
        self.name, self._most = name, most
        self._places: dict[str, int] | None = {}
        self._at = array("I")
        self._parts: list[list[str] | str] = []  # of cells; joined they take a tenth of the memory

    def add(self, cells: Sequence[str]) -> None:
        """Take some more cells."""
        if self._places is not None:
            places = self._places
            self._at.extend(places.setdefault(cell, len(places)) for cell in cells)
            if len(places) <= self._most:
                return
            values = list(places)
            cells = [values[place] for place in self._at]
            self._places = None
        joined = ",".join(cells)
        apart = joined.count(",") == len(cells) - 1  # no cell has a comma
        self._parts.append(joined if apart else list(cells))

    def distinct(self) -> Iterable[str]:
        """Return the distinct values."""
        return self._places if self._places is not None else dict.fromkeys(self._cells())

    def content(self) -> dict[str, Any]:
        """Return the column as the page's script reads it."""
        if self._places is None:
            whole = [part for part in self._parts if isinstance(part, str)]
            joined = ",".join(whole) if len(whole) == len(self._parts) else self._cells()
            return {"name": self.name, "values": joined}
        values = {"name": self.name, "values": list(self._places)}
        return values if len(self._places) == 1 else {**values, "at": self._at.tolist()}

    def _cells(self) -> list[str]:
        return [
            cell
            for part in self._parts
            for cell in (part.split(",") if isinstance(part, str) else part)
        ]


def _table(folder: Path, trials: int) -> list[_Column]:
    """Return the columns of summary.csv but OWN_FACTS, of which one block at a time is read."""
    blocks = read_blocks(folder / "summary.csv")
    header = next(blocks).cells
    names = [f"{n} (varied)" if n in header[at + 1 :] else n for at, n in enumerate(header)]
    most = max(1, trials // 3)
    kept = [(at, _Column(name, most)) for at, name in enumerate(names) if name not in OWN_FACTS]
    for block in blocks:
        for at, column in kept:
            column.add(block.column(at))
    return [column for _, column in kept]


def _named(columns: Sequence[_Column], name: str) -> _Column:
    return next(column for column in columns if column.name == name)


def _facets(columns: Sequence[_Column], settings: int) -> list[str]:
    """Return the settings with more than one value: they choose trials."""
    several = columns[1 : settings + 3]  # with the learning rate and the seed, without the id
    return [column.name for column in several if len(list(column.distinct())) > 1]
