"""What the page shows of a landscape: the plane as heights, and the ways of the run's trials."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor, inf, isfinite, log10
from typing import Any

import numpy as np

from gdcli.analysis.landscape import Landscape, Way
from gdcli.report.labels import rounded
from gdcli.report.page.plain import plain
from gdcli.studies.landscape.show import height_scale, heights

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
