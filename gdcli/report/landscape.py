"""What is printed and written of a landscape."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from math import isfinite
from typing import TYPE_CHECKING

import numpy as np

from gdcli.report.console import has_colors, print_lines
from gdcli.report.contour import contour
from gdcli.report.labels import for_json, in_full, short
from gdcli.report.listing import print_json, print_listing
from gdcli.report.pictures.picture import MOST_LINES
from gdcli.report.plan import trial_rows
from gdcli.report.trial_labels import trial_labels

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from gdcli.analysis.rows import Value
    from gdcli.grid import Trial
    from gdcli.studies.landscape import Landscape

OFF_TERMINAL = 80  # columns of a picture in a file or a pipe


def print_landscape(scene: Landscape, form: str, console: Console) -> None:
    """Print the picture; in the other forms a row a trial: its settings, and where it ends."""
    if form == "table":
        print_lines(_lines(scene, console), console)
        return
    rows = _rows(scene)
    if form == "json":
        print_json([{k: for_json(v) for k, v in row.items()} for row in rows], console)
    else:
        text = short if form == "md" else in_full
        print_listing([{k: text(v) for k, v in row.items()} for row in rows], form, console)


def _lines(scene: Landscape, console: Console) -> Iterator[str | Text]:
    labels = trial_labels([way.trial for way in scene.ranked])
    yield from said(scene)
    if console.options.ascii_only:
        yield f"The picture needs UTF-8, and the output is {console.encoding}"
        return
    width = console.width if console.is_terminal else OFF_TERMINAL
    yield from contour(scene, labels, width, colored=has_colors(console))
    if len(labels) > MOST_LINES:
        yield f"   the {MOST_LINES} of {len(labels)} trials with the lowest losses"


def said(scene: Landscape) -> Iterator[str]:
    """Yield what the plane is, how much it holds, and what is not seen of the trials."""
    x, y = scene.plane.names
    yield f"Training loss over {scene.plane.words}"
    points = f"{len(scene.xs)} x {len(scene.ys)} points"
    yield f"x: {x}; y: {y}; {points}"
    if len(scene.plane.origin) > 2:
        yield f"the plane holds {scene.share:.1%} of the variance of the trials' points"
    if leaving := len(scene.leaving):
        yield f"{leaving} of {len(scene.ways)} trials leave the picture; they are cut at its edge"
    if blank := int((~np.isfinite(scene.losses)).sum()):
        yield f"{blank} of {scene.losses.size} points have no finite loss"


def _rows(scene: Landscape) -> list[dict[str, Value]]:
    ends = [
        {
            "x": float(way.coordinates[-1, 0]),
            "y": float(way.coordinates[-1, 1]),
            "off_plane": float(way.off_plane[-1]),
            "train_loss": way.losses[-1],
            "diverged": way.diverged,
        }
        for way in scene.ways
    ]
    settings = trial_rows([way.trial for way in scene.ways])
    return [{**row, **end} for row, end in zip(settings, ends, strict=True)]


def plane_csv(scene: Landscape) -> Iterator[str]:
    """Yield the lines of a CSV file: the loss at every point of the plane."""
    yield "x,y,train_loss\n"
    for y, row in zip(scene.ys.tolist(), scene.losses.tolist(), strict=True):
        for x, loss in zip(scene.xs.tolist(), row, strict=True):
            yield f"{x!r},{y!r},{loss!r}\n"


def plane_json(scene: Landscape) -> str:
    """Return as JSON what the coordinates of both CSV files mean.

    share is null where the plane is all there is of the parameters.
    """
    x, y = scene.plane.names
    part = len(scene.plane.origin) > 2 and isfinite(scene.share)
    share = scene.share if part else None
    # What is measured on the way moves no point of it, but has a run name its trials otherwise.
    measured = {way.trial.id: _measured(way.trial).id for way in scene.ways}
    said = {"plane": scene.plane.words, "x": x, "y": y, "share": share, "measured": measured}
    return json.dumps(said, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _measured(trial: Trial) -> Trial:
    return replace(trial, training=replace(trial.training, measure="sharpness"))


def ways_csv(scene: Landscape) -> Iterator[str]:
    """Yield the lines of a CSV file: the recorded points of every trial, where they lie."""
    yield "trial,step,x,y,off_plane,train_loss\n"
    for way in scene.ways:
        points = (way.coordinates[:, 0], way.coordinates[:, 1], way.off_plane)
        columns: Sequence[Iterable[float]] = (*(p.tolist() for p in points), way.losses)
        for step, *values in zip(way.steps, *columns, strict=True):
            yield ",".join([way.trial.id, str(step), *map(repr, values)]) + "\n"
