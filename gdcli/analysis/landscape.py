"""A landscape as `gdcli landscape -o landscape.csv` left it in a run's folder."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from math import isfinite
from pathlib import Path
from typing import Any

from gdcli import door
from gdcli.analysis.quantiles import column_of
from gdcli.errors import UserError
from gdcli.runs.csv_read import Row, read_rows

NAME = "landscape.csv"


@dataclass(frozen=True)
class Way:
    """A trial's recorded points, projected to the plane."""

    trial: str
    steps: Sequence[int]
    xs: Sequence[float]
    ys: Sequence[float]
    losses: Sequence[float]
    off_plane: float  # the distance of the last point from it


@dataclass(frozen=True)
class Landscape:
    """Losses over a plane of the parameters, and the ways of trials across it."""

    plane: str  # what it is
    axes: tuple[str, str]  # the names of x and y
    share: float | None  # of the variance of the ways' points that the plane holds
    xs: Sequence[float]
    ys: Sequence[float]
    losses: Sequence[Sequence[float]]  # a row a y; inf or nan where there is none
    ways: Sequence[Way]
    measured: Mapping[str, str] = field(default_factory=dict)  # trials, where sharpness is measured

    def trial_among(self, way: Way, trials: Collection[str]) -> str | None:
        """Return which of these trials a way is of, with or without its sharpness; or None."""
        names = way.trial, self.measured.get(way.trial, way.trial)
        return next((name for name in names if name in trials), None)


def read_landscape(folder: Path) -> Landscape | None:
    """Return the landscape in a run's folder; None where there is none.

    Raises UserError naming the line of landscape.csv or landscape-ways.csv that is wrong.
    """
    file = folder / NAME
    if not file.is_file():
        return None
    said = _said(file.with_suffix(".json"))
    axes = str(said.get("x", "x")), str(said.get("y", "y"))
    share = said.get("share")
    return Landscape(
        str(said.get("plane", "a plane of the parameters")),
        axes,
        share if isinstance(share, float) else None,
        *_plane(file),
        list(_ways(file.with_name(f"{file.stem}-ways.csv"))),
        _names(said.get("measured")),
    )


def _said(file: Path) -> dict[str, object]:
    """Return what the file beside the losses says of the plane: nothing where it is missing."""
    try:
        found: dict[str, object] | None = door.json_of(file, dict[str, Any])
    except (UserError, OSError):
        return {}
    return found or {}


def _names(said: object) -> dict[str, str]:
    """Return the names of trials by their other names; none where it does not say them."""
    if not isinstance(said, dict):
        return {}
    return {str(name): str(other) for name, other in said.items()}


def _plane(file: Path) -> tuple[list[float], list[float], list[list[float]]]:
    """Return both axes and the losses, y by y."""
    rows = read_rows(file)
    header = next(rows)
    places = [column_of(header, name) for name in ("x", "y", "train_loss")]
    xs: list[float] = []
    ys: list[float] = []
    losses: list[list[float]] = []
    for y, line in groupby(rows, key=lambda row: _finite(row, places[1], "y")):
        points = list(line)
        across = [_finite(row, places[0], "x") for row in points]
        xs = xs or across
        if across != xs:
            points[0].refuse("the points from here on do not make a grid with those before")
        ys.append(y)
        losses.append([row.number_or_nan(places[2], "train_loss") for row in points])
    if len(xs) < 2 or len(ys) < 2:
        header.refuse("it has no two points along each side")
    return xs, ys, losses


def _ways(file: Path) -> Iterator[Way]:
    rows = read_rows(file)
    header = next(rows)
    names = "step", "x", "y", "train_loss", "off_plane"
    places = {name: column_of(header, name) for name in names}
    for trial, line in groupby(rows, key=lambda row: row.cells[0]):
        held = list(line)
        values = {n: [row.number_or_nan(at, n) for row in held] for n, at in places.items()}
        steps = [int(_finite(row, places["step"], "step")) for row in held]
        losses, off_plane = values["train_loss"], values["off_plane"]
        yield Way(trial, steps, values["x"], values["y"], losses, off_plane[-1])


def _finite(row: Row, place: int, name: str) -> float:
    value = row.number_or_nan(place, name)
    if not isfinite(value):
        row.refuse(f"{name} is {value}, not a finite number")
    return value
