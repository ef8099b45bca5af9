"""What the page shows of a landscape: the plane as heights, and the ways of the run's trials.

A landscape as `gdcli landscape -o landscape.csv` left it in a run's folder.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from math import floor, inf, isfinite, log10
from pathlib import Path
from typing import Any

import numpy as np

from gdcli import door
from gdcli.analysis.quantiles import column_of
from gdcli.errors import UserError
from gdcli.report.labels import rounded
from gdcli.report.page.content import plain
from gdcli.runs.csv_read import Row, read_rows
from gdcli.studies.landscape.show import height_scale, heights

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


MOST_SIDE = 101  # points along a side of the plane
MOST_WAYS = 500
MOST_VALUES = 20_000  # points of all ways together
MOST_POINTS = 500  # of one
PLACES = 4  # decimals of a coordinate, of the side of the plane


def landscape_content(scene: Landscape, trials: Sequence[str]) -> dict[str, Any] | None:
    """Return the landscape for the page's script, with the ways of the run's trials.

    None where none of the trials has a way: it is another grid's.
    """
    at = {trial: place for place, trial in enumerate(trials)}
    named = [(way, scene.trial_among(way, at)) for way in scene.ways]
    known = [(way, trial) for way, trial in named if trial is not None]
    if not known:
        return None
    ways = sorted(known, key=lambda pair: _end(pair[0]))[:MOST_WAYS]
    rows, columns = (spread(len(side)) for side in (scene.ys, scene.xs))
    losses = np.array([[scene.losses[row][column] for column in columns] for row in rows])
    xs, ys = [scene.xs[i] for i in columns], [scene.ys[i] for i in rows]
    most = min(MOST_POINTS, max(2, MOST_VALUES // len(ways)))
    decimals = _decimals(xs), _decimals(ys)
    return {
        "plane": scene.plane,
        "axes": scene.axes,
        "share": scene.share,
        "xs": xs,
        "ys": ys,
        "losses": [[plain(loss) for loss in row] for row in losses.tolist()],
        **colours(losses),
        "ways": [{"trial": at[trial], **_way(way, most, decimals)} for way, trial in ways],
        "higher": len(known) - len(ways),
        "others": len(scene.ways) - len(known),
    }


def _end(way: Way) -> float:
    return way.losses[-1] if isfinite(way.losses[-1]) else inf


def colours(losses: Any) -> dict[str, Any]:
    """Return the heights of the losses from 0 to 1, and what some heights mean."""
    scale = height_scale(losses)
    if scale is None:
        return {"heights": [[None] * len(row) for row in losses], "ticks": []}
    places = heights(losses, scale).tolist()
    return {
        "heights": [[round(h, PLACES) if isfinite(h) else None for h in row] for row in places],
        "ticks": [[round(scale(tick), PLACES), rounded(float(tick))] for tick in scale.ticks(6)],
    }


def _way(way: Way, most: int, decimals: tuple[int, int]) -> dict[str, Any]:
    kept = spread(len(way.steps), most)
    xs, ys = (
        [round(side[i], places) if isfinite(side[i]) else None for i in kept]
        for side, places in zip((way.xs, way.ys), decimals, strict=True)
    )
    return {
        "steps": [way.steps[i] for i in kept],
        "x": xs,
        "y": ys,
        "losses": [plain(way.losses[i]) for i in kept],
        "off": plain(way.off_plane),
    }


def spread(count: int, most: int = MOST_SIDE) -> list[int]:
    """Return places spread evenly over `count`, both ends included."""
    if count <= most:
        return list(range(count))
    return [round(place * (count - 1) / (most - 1)) for place in range(most)]


def _decimals(side: Sequence[float]) -> int:
    """Return the decimals at which a coordinate is as fine as the picture."""
    size = abs(side[-1] - side[0]) or 1.0
    return PLACES - floor(log10(size))
