"""An exploration as `gdcli explore --folder RUN/explore` left it in a run's folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import inf
from pathlib import Path
from typing import Any, Literal, TypedDict

from gdcli import door
from gdcli.analysis.data_map import REGIONS
from gdcli.analysis.median_curve import column_of
from gdcli.analysis.rows import Row, Value, read_rows, value_of
from gdcli.csv_cell import as_given
from gdcli.errors import UserError
from gdcli.fields import show

NAME = "explore"
CLASSIFIED = ("variability", "confidence", "margin")
REGRESSED = ("loss_deviation", "loss", "final_loss")
COUNTED = ("line", "row_from_0", "sheet_row")  # places in the user's file


class Study(TypedDict):
    """What the manifest of an exploration says, of which little is read."""

    study: Literal["explore"]


@dataclass(frozen=True)
class ExploredSetting:
    """What one setting makes of the examples: a list a column."""

    values: tuple[str, ...]  # of the setting, as the file has them
    examples: Sequence[int]
    measures: Mapping[str, Sequence[float]]  # those of CLASSIFIED, or of REGRESSED
    words: Mapping[str, Sequence[str]]  # label, predicted, region, likely_error, maybe row


@dataclass(frozen=True)
class Explored:
    """All settings, the lowest training loss first, and the table of their shares."""

    names: Sequence[str]  # of a setting's values
    settings: Sequence[ExploredSetting]
    table: Sequence[Mapping[str, Value]]
    classified: bool
    counted: str  # what a "row" counts: "line" and the like, "" where there is none
    study: Mapping[str, Any]  # its manifest


def read_explored(folder: Path) -> Explored | None:
    """Return the exploration in a run's folder; None where there is none that is whole.

    Raises UserError naming the line of examples.csv or settings.csv that is wrong.
    """
    place = folder / NAME
    if place.is_symlink():  # out of the run's folder, perhaps
        return None
    study = _study(place / "manifest.json")
    if study is None:
        return None
    table, losses = _table(place / "settings.csv")
    rows = read_rows(place / "examples.csv")
    header = next(rows)
    count = column_of(header, "example")
    classified = "region" in header.cells
    found = list(_settings(rows, header, count, classified=classified))
    order = sorted(found, key=lambda setting: losses.get(setting.values, inf))
    counted = next((name for name in header.cells[count:] if name in COUNTED), "")
    return Explored(header.cells[:count], order, table, classified, counted, study)


def same_examples(study: Mapping[str, Any], manifest: Mapping[str, Any]) -> bool:
    """Return whether two manifests are of one problem, on the same data."""
    ours, theirs = (_data(each) for each in (study, manifest))
    if ours is None or ours != theirs:
        return False
    held, trained = (_checksums(each) for each in (study, manifest))
    return not held or not trained or bool(held & trained)  # else the file was changed


def _checksums(manifest: Mapping[str, Any]) -> set[str]:
    data = manifest.get("data")
    return set(map(str, data.values())) if isinstance(data, Mapping) else set()


def _data(manifest: Mapping[str, Any]) -> tuple[Any, ...] | None:
    try:
        settings = manifest["experiment"]["settings"]
        return settings["problem"], settings["grid"].get("data-seed", 0)
    except (KeyError, TypeError, AttributeError):
        return None


def _study(file: Path) -> Mapping[str, Any] | None:
    """Return a manifest, which is written last; None where there is none."""
    try:
        found: Mapping[str, Any] | None = door.json_of(file, Study)
    except (UserError, OSError):
        return None
    return found


def _table(file: Path) -> tuple[list[dict[str, Value]], dict[tuple[str, ...], float]]:
    """Return a row a setting, and the training losses by the values of a setting."""
    header, *rows = read_rows(file)
    if not rows:
        header.refuse("it has no settings")
    count = column_of(header, "seeds")
    # Where no setting was trained to the end there is none.
    loss = header.cells.index("train_loss") if "train_loss" in header.cells else count
    losses = {tuple(row.cells[:count]): row.number(loss, "train_loss") for row in rows}
    table = [dict(zip(header.cells, map(value_of, row.cells), strict=True)) for row in rows]
    return table, {values: loss for values, loss in losses.items() if loss is not None}


def _settings(
    rows: Iterator[Row], header: Row, count: int, *, classified: bool
) -> Iterator[ExploredSetting]:
    measures = {name: column_of(header, name) for name in (CLASSIFIED if classified else REGRESSED)}
    named = ("label", "predicted", "region", "likely_error") if classified else ("target",)
    words = {name: column_of(header, name) for name in named}
    # By the names of the classes, and the rows of the file, where there are such columns.
    known = {"class": "label", "predicted_class": "predicted", **dict.fromkeys(COUNTED, "row")}
    words |= {
        known[name]: at for at, name in enumerate(header.cells) if at > count and name in known
    }
    for values, group in groupby(rows, key=lambda row: tuple(row.cells[:count])):
        held = list(group)
        for row in held if classified else ():
            if row.cells[words["region"]] not in REGIONS:
                row.refuse(f"region is none of {', '.join(REGIONS)}")
        yield ExploredSetting(
            values,
            [_whole(row, count) for row in held],
            {name: [row.number_or_nan(at, name) for row in held] for name, at in measures.items()},
            {name: [as_given(row.cells[at]) for row in held] for name, at in words.items()},
        )


def _whole(row: Row, place: int) -> int:
    found = value_of(row.cells[place])
    if not isinstance(found, int):
        row.refuse(f"example is {show(row.cells[place])}, not a whole number")
    return found
