"""An exploration as `gdcli explore --folder RUN/explore` left it in a run's folder."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from gdcli.analysis.data_map import REGIONS
from gdcli.analysis.median_curve import column_of
from gdcli.analysis.rows import Row, Value, read_rows, value_of

NAME = "explore"
CLASSIFIED = ("variability", "confidence", "margin")
REGRESSED = ("loss_deviation", "loss", "final_loss")


@dataclass(frozen=True)
class ExploredSetting:
    """What one setting makes of the examples: a list a column."""

    values: tuple[str, ...]  # of the setting, as the file has them
    examples: Sequence[int]
    measures: Mapping[str, Sequence[float]]  # those of CLASSIFIED, or of REGRESSED
    words: Mapping[str, Sequence[str]]  # label, predicted, region, likely_error


@dataclass(frozen=True)
class Explored:
    """All settings, the lowest training loss first, and the table of their shares."""

    names: Sequence[str]  # of a setting's values
    settings: Sequence[ExploredSetting]
    table: Sequence[Mapping[str, Value]]
    classified: bool
    study: Mapping[str, Any]  # its manifest


def read_explored(folder: Path) -> Explored | None:
    """Return the exploration in a run's folder; None where there is none that is whole.

    Raises UserError naming the line of examples.csv or settings.csv that is wrong.
    """
    place = folder / NAME
    study = _study(place / "manifest.json")
    if study is None:
        return None
    table = _table(place / "settings.csv")
    rows = read_rows(place / "examples.csv")
    header = next(rows)
    count = column_of(header, "example")
    classified = "region" in header.cells
    found = list(_settings(rows, header, count, classified=classified))
    losses = {_values(row, header.cells[:count]): row.get("train_loss") for row in table}
    order = sorted(found, key=lambda setting: _rank(losses.get(setting.values)))
    return Explored(header.cells[:count], order, table, classified, study)


def same_examples(study: Mapping[str, Any], manifest: Mapping[str, Any]) -> bool:
    """Return whether two manifests are of one problem, on the same data."""
    ours, theirs = (_data(each) for each in (study, manifest))
    return ours is not None and ours == theirs


def _data(manifest: Mapping[str, Any]) -> tuple[Any, ...] | None:
    try:
        settings = manifest["experiment"]["settings"]
        return settings["problem"], settings["grid"].get("data-seed", 0)
    except (KeyError, TypeError, AttributeError):
        return None


def _study(file: Path) -> Mapping[str, Any] | None:
    """Return a manifest, which is written last; None where there is none."""
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and found.get("study") == NAME else None


def _table(file: Path) -> list[dict[str, Value]]:
    header, *rows = read_rows(file)
    return [dict(zip(header.cells, map(value_of, row.cells), strict=True)) for row in rows]


def _values(row: Mapping[str, Value], names: Sequence[str]) -> tuple[str, ...]:
    return tuple("" if row.get(name) is None else str(row[name]) for name in names)


def _rank(loss: Value) -> float:
    return loss if isinstance(loss, float) else float("inf")


def _settings(
    rows: Iterator[Row], header: Row, count: int, *, classified: bool
) -> Iterator[ExploredSetting]:
    measures = {name: column_of(header, name) for name in (CLASSIFIED if classified else REGRESSED)}
    named = ("label", "predicted", "region", "likely_error") if classified else ("target",)
    words = {name: column_of(header, name) for name in named}
    for values, group in groupby(rows, key=lambda row: tuple(row.cells[:count])):
        held = list(group)
        for row in held if classified else ():
            if row.cells[words["region"]] not in REGIONS:
                row.refuse(f"region is none of {', '.join(REGIONS)}")
        yield ExploredSetting(
            values,
            [int(row.number(count, "example") or 0) for row in held],
            {name: [row.number_or_nan(at, name) for row in held] for name, at in measures.items()},
            {name: [row.cells[at] for row in held] for name, at in words.items()},
        )
