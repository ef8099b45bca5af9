"""The section of a run's page with the landscape that gdcli landscape left in its folder.

It shows the plane as heights, and the paths of the run's trials across it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from math import floor, inf, isfinite, log10
from typing import TYPE_CHECKING, Any

import numpy as np

from gdcli import door
from gdcli.errors import UserError
from gdcli.numbers import rounded
from gdcli.report.page.content import plain
from gdcli.report.page.run_page import Content, PageRun, PageView
from gdcli.runs.csv_read import Row, read_rows
from gdcli.studies.landscape.show import height_scale, heights

if TYPE_CHECKING:
    from pathlib import Path

NAME = "landscape.csv"
MOST_SIDE = 101  # points along a side of the plane
MOST_PATHS = 500
MOST_VALUES = 20_000  # points of all paths together
MOST_POINTS = 500  # of one
PLACES = 4  # decimals of a coordinate, of the side of the plane


class LandscapeSection(PageView):
    """The loss around the run's trials."""

    name = "landscape"
    title = "Landscape"
    order = 60

    def content(self, run: PageRun) -> Content | None:
        """Return the chart, where the run's folder has a landscape of its trials."""
        landscape = read_landscape(run.source.folder)
        if landscape is None:
            return None
        data = landscape_content(landscape, [trial.id for trial in run.source.run.trials])
        if data is None:
            note = f"{NAME} in the run's folder has no path of its trials, and is not shown."
            return Content(notes=[note], scripted=False)
        return Content(figure="The landscape in numbers", data=data)


@dataclass(frozen=True)
class SavedPath:
    """A trial's recorded points, projected to the plane."""

    trial: str
    steps: Sequence[int]
    xs: Sequence[float]
    ys: Sequence[float]
    losses: Sequence[float]
    off_plane: float  # the distance of the last point from it


@dataclass(frozen=True)
class SavedLandscape:
    """Losses over a plane of the parameters, and the paths of trials across it."""

    plane: str  # what it is
    axes: tuple[str, str]  # the names of x and y
    share: float | None  # of the variance of the paths' points that the plane holds
    xs: Sequence[float]
    ys: Sequence[float]
    losses: Sequence[Sequence[float]]  # a row for each y; inf or nan where there is none
    paths: Sequence[SavedPath]
    measured: Mapping[str, str] = field(default_factory=dict)  # trials, where sharpness is measured

    def trial_among(self, path: SavedPath, trials: Collection[str]) -> str | None:
        """Return which of these trials a path is of, with or without its sharpness; or None."""
        names = path.trial, self.measured.get(path.trial, path.trial)
        return next((name for name in names if name in trials), None)


def read_landscape(folder: Path) -> SavedLandscape | None:
    """Return the landscape in a run's folder; None where there is none.

    Raises UserError naming the line of landscape.csv or landscape-ways.csv that is wrong.
    """
    file = folder / NAME
    if not file.is_file():
        return None
    said = _said(file.with_suffix(".json"))
    axes = str(said.get("x", "x")), str(said.get("y", "y"))
    share = said.get("share")
    return SavedLandscape(
        str(said.get("plane", "a plane of the parameters")),
        axes,
        share if isinstance(share, float) else None,
        *_plane(file),
        list(_paths(file.with_name(f"{file.stem}-ways.csv"))),
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
    places = [header.place(name) for name in ("x", "y", "train_loss")]
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


def _paths(file: Path) -> Iterator[SavedPath]:
    rows = read_rows(file)
    header = next(rows)
    names = "step", "x", "y", "train_loss", "off_plane"
    places = {name: header.place(name) for name in names}
    for trial, line in groupby(rows, key=lambda row: row.cells[0]):
        held = list(line)
        values = {n: [row.number_or_nan(at, n) for row in held] for n, at in places.items()}
        steps = [int(_finite(row, places["step"], "step")) for row in held]
        losses, off_plane = values["train_loss"], values["off_plane"]
        yield SavedPath(trial, steps, values["x"], values["y"], losses, off_plane[-1])


def _finite(row: Row, place: int, name: str) -> float:
    value = row.number_or_nan(place, name)
    if not isfinite(value):
        row.refuse(f"{name} is {value}, not a finite number")
    return value


def landscape_content(landscape: SavedLandscape, trials: Sequence[str]) -> dict[str, Any] | None:
    """Return the landscape for the page's script, with the paths of the run's trials.

    None where none of the trials has a path: it is another grid's.
    """
    at = {trial: place for place, trial in enumerate(trials)}
    named = [(path, landscape.trial_among(path, at)) for path in landscape.paths]
    known = [(path, trial) for path, trial in named if trial is not None]
    if not known:
        return None
    paths = sorted(known, key=lambda pair: _end(pair[0]))[:MOST_PATHS]
    rows, columns = (spread(len(side)) for side in (landscape.ys, landscape.xs))
    losses = np.array([[landscape.losses[row][column] for column in columns] for row in rows])
    xs, ys = [landscape.xs[i] for i in columns], [landscape.ys[i] for i in rows]
    most = min(MOST_POINTS, max(2, MOST_VALUES // len(paths)))
    decimals = _decimals(xs), _decimals(ys)
    return {
        "plane": landscape.plane,
        "axes": landscape.axes,
        "share": landscape.share,
        "xs": xs,
        "ys": ys,
        "losses": [[plain(loss) for loss in row] for row in losses.tolist()],
        **colours(losses),
        "paths": [{"trial": at[trial], **_path(path, most, decimals)} for path, trial in paths],
        "higher": len(known) - len(paths),
        "others": len(landscape.paths) - len(known),
    }


def _end(path: SavedPath) -> float:
    return path.losses[-1] if isfinite(path.losses[-1]) else inf


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


def _path(path: SavedPath, most: int, decimals: tuple[int, int]) -> dict[str, Any]:
    kept = spread(len(path.steps), most)
    xs, ys = (
        [round(side[i], places) if isfinite(side[i]) else None for i in kept]
        for side, places in zip((path.xs, path.ys), decimals, strict=True)
    )
    return {
        "steps": [path.steps[i] for i in kept],
        "x": xs,
        "y": ys,
        "losses": [plain(path.losses[i]) for i in kept],
        "off": plain(path.off_plane),
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
