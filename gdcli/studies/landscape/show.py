"""A landscape in the terminal and as a picture: the height of the loss, and the trials' paths."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from math import isfinite, isnan
from textwrap import wrap
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from rich.text import Text

from gdcli.numbers import all_digits, for_json, rounded
from gdcli.report.charts.chart import MOST_LINES, Scale, scale_of
from gdcli.report.charts.figure_files import COLORS
from gdcli.report.charts.terminal import DOTS, HEIGHT, LETTERS, TERMINAL_COLORS, Cell, Frame
from gdcli.report.console import has_colors, picture_width, print_lines
from gdcli.report.dry_run import trial_labels, trial_rows
from gdcli.report.text_tables import print_json, print_listing
from gdcli.runs import atomic

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure
    from numpy.typing import NDArray
    from rich.console import Console

    from gdcli.experiment.grid import Trial
    from gdcli.runs.csv_read import Value
    from gdcli.studies.landscape.surface import Landscape, Way

LOWEST = 0.005  # share of the points that may lie below the scale: one close to a minimum would
# stretch a logarithmic scale over decades that hold nothing else


def height_scale(losses: NDArray[np.float64]) -> Scale | None:
    """Return the scale of the finite losses; None where there is none."""
    finite = losses[np.isfinite(losses)]
    if not finite.size:
        return None
    low = np.quantile(finite, LOWEST, method="lower")
    return scale_of(finite[finite >= low].tolist())


def heights(losses: NDArray[np.float64], scale: Scale) -> NDArray[np.float64]:
    """Return each loss's place on the scale, from 0 to 1; nan where it is not finite."""
    places = [scale(loss) if np.isfinite(loss) else np.nan for loss in losses.ravel().tolist()]
    return np.array(places).reshape(losses.shape)


RAMP = " .:-=+*#%@"  # from the lowest loss to the highest
HALF, BLOCK = "\u2580", "\u2588\u2588"  # the upper half of a cell, two whole ones
LIGHT, DARK = (238, 246, 246), (28, 28, 52)  # of the lowest loss and the highest
NOTHING = "?"  # no finite loss
LINEAR = 1e4  # a symmetric scale is as good as linear up to so many times its range


def contour(
    scene: Landscape, labels: Sequence[str], width: int, *, colored: bool = False
) -> list[Text]:
    """Return the lines of the picture and its legend, for as many ranked ways as there are letters.

    `labels` are those of the ranked ways.
    """
    scale = height_scale(scene.losses)
    if scale is None:
        return [Text("no point of the plane has a finite loss")]
    ends = [(float(axis[0]), float(axis[-1])) for axis in (scene.xs, scene.ys)]
    (left, right), (low, high) = ends
    side = Scale(low, high, LINEAR * max(abs(low), abs(high)))
    frame = Frame(side, left, right, width, "x")
    cells = ground(scene.losses, scale, frame, colored=colored)
    chosen = scene.ranked[: len(LETTERS)]
    spots = [_spots(way, frame, ends) for way in chosen]
    best_on_top = list(reversed(range(len(chosen))))
    for order in best_on_top:
        # A trial that diverges goes from side to side: a line would cover the others.
        between = not chosen[order].diverged
        for row, column in _walked(spots[order]) if between else filter(None, spots[order]):
            cells[row][column] = (LETTERS[order], _on_ground(order, colored=colored))
    for order in best_on_top:
        for row, column in [spot for spot in spots[order] if spot][-1:]:
            mark = LETTERS[order].upper()
            cells[row][column] = (mark, _on_ground(order, colored=colored))
    legend = [_contour_legend(order, labels[order], way) for order, way in enumerate(chosen)]
    return [*frame.lines(cells), *key(scale, colored=colored), *legend]


def _on_ground(order: int, *, colored: bool) -> str:
    """Return the style of a way's letter."""
    return f"bold black on {TERMINAL_COLORS[order]}" if colored else TERMINAL_COLORS[order]


def ground(
    losses: NDArray[np.float64], scale: Scale, frame: Frame, *, colored: bool = False
) -> list[list[Cell]]:
    """Return the shades: of the nearest of the losses, (ys, xs), in every cell, from the top.

    In colour a cell has two, one above the other.
    """
    each = 2 if colored else 1
    rows = np.linspace(losses.shape[0] - 1, 0, each * HEIGHT).round().astype(int)
    columns = np.linspace(0, losses.shape[1] - 1, frame.columns).round().astype(int)
    places = heights(losses[np.ix_(rows, columns)], scale).tolist()
    if not colored:
        return [[(_shade(place), "dim") for place in row] for row in places]
    pairs = zip(places[::2], places[1::2], strict=True)
    return [[_halves(*both) for both in zip(*pair, strict=True)] for pair in pairs]


def _halves(upper: float, lower: float) -> Cell:
    if isnan(upper) and isnan(lower):
        return NOTHING, "dim"
    # A half without a finite loss is drawn as the other one.
    top, bottom = (
        _color(lower if isnan(upper) else upper),
        _color(upper if isnan(lower) else lower),
    )
    return HALF, f"{top} on {bottom}"


def _color(place: float) -> str:
    """Return a colour: light where the loss is low, as in the picture files."""
    mixed = (round(a + (b - a) * place) for a, b in zip(LIGHT, DARK, strict=True))
    return "#{:02x}{:02x}{:02x}".format(*mixed)


def _shade(place: float) -> str:
    return NOTHING if isnan(place) else RAMP[min(int(place * len(RAMP)), len(RAMP) - 1)]


def _spots(
    way: Way, frame: Frame, ends: Sequence[tuple[float, float]]
) -> list[tuple[int, int] | None]:
    """Return the cell of each of a way's points; None for those outside the picture."""
    return [
        cell_of(frame, *point)
        if all(low <= at <= high for at, (low, high) in zip(point, ends, strict=True))
        else None
        for point in way.coordinates.tolist()
    ]


def _walked(spots: Sequence[tuple[int, int] | None]) -> Iterator[tuple[int, int]]:
    """Yield the cells of a way, and those between them."""
    for here, there in zip(spots, [*spots[1:], None], strict=True):
        if here:
            yield from _line(here, there or here)


def cell_of(frame: Frame, x: float, y: float) -> tuple[int, int]:
    """Return the row, from the top, and the column of a point."""
    across, up = frame.dot(x, y)
    return HEIGHT - 1 - up // DOTS[1], across // DOTS[0]


def _line(here: tuple[int, int], there: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """Yield the cells from one to another, both included."""
    steps = max(abs(b - a) for a, b in zip(here, there, strict=True)) or 1
    for step in range(steps + 1):
        row, column = (round(a + (b - a) * step / steps) for a, b in zip(here, there, strict=True))
        yield row, column


def key(scale: Scale, *, colored: bool = False) -> Iterator[Text]:
    """Yield what the shades mean."""
    if colored:
        line = Text("training loss: ")
        for tick in scale.ticks(4):
            line.append(BLOCK, _color(scale(tick))).append(f" {rounded(tick)}  ")
        line.rstrip()
        yield line
        return
    ticks = [f"{rounded(tick)} '{_shade(scale(tick))}'" for tick in scale.ticks(4)]
    yield Text(f"training loss: {', '.join(ticks)}")


def _contour_legend(order: int, label: str, way: Way) -> Text:
    end = "diverged" if way.diverged else f"loss {rounded(way.losses[-1])}"
    letter = f" {LETTERS[order]} "
    said = f"{label}, to {LETTERS[order].upper()}: {end}"
    return Text.assemble((letter, TERMINAL_COLORS[order]), said, no_wrap=False)


def print_landscape(scene: Landscape, form: str, console: Console) -> None:
    """Print the picture; the other forms have a row for each trial: settings and end."""
    if form == "table":
        print_lines(_lines(scene, console), console)
        return
    rows = _rows(scene)
    if form == "json":
        print_json([{k: for_json(v) for k, v in row.items()} for row in rows], console)
    else:
        text = rounded if form == "md" else all_digits
        print_listing([{k: text(v) for k, v in row.items()} for row in rows], form, console)


def _lines(scene: Landscape, console: Console) -> Iterator[str | Text]:
    labels = trial_labels([way.trial for way in scene.ranked])
    yield from said(scene)
    if console.options.ascii_only:
        yield f"The picture needs UTF-8, and the output is {console.encoding}"
        return
    width = picture_width(console)
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


def write_tables(scene: Landscape, file: Path) -> list[Path]:
    """Write the losses, the paths of the trials and what the plane is; return the files."""
    ways, meaning = file.with_name(f"{file.stem}-ways.csv"), file.with_suffix(".json")
    atomic.write(file, (line.encode() for line in plane_csv(scene)))
    atomic.write(ways, (line.encode() for line in ways_csv(scene)))
    atomic.write(meaning, [plane_json(scene).encode()])
    return [file, ways, meaning]


Style: TypeAlias = Literal["solid", "dashed", "dashdot", "dotted"]
# Light where the loss is low, so that in grey, too, ways and their halos stand out everywhere.
MAP = "bone_r"
LEVELS = np.linspace(0, 1, 25)
STYLES: tuple[Style, ...] = ("solid", "dashed", "dashdot", "dotted")
FINE = 151  # points of a side from which contours are drawn: fewer would draw minima between them
MOST_NAMED = 12  # so many pairs of a colour and a style differ
TITLE_LETTERS = 90  # of a line of the title
FAR = 20.0  # sizes of the picture; beyond it a way is cut: no renderer draws a line to 1e300
# Without dates, and below without random names: the same landscape is the same file.
DATELESS: dict[str, dict[str, None]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}


def drawn(scene: Landscape, form: str) -> bytes:
    """Return the picture as a file of the `form` png, svg or pdf."""
    import matplotlib as mpl

    figure = figure_of(scene)
    file = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "gdcli", "svg.fonttype": "none"}):
        figure.savefig(file, format=form, dpi=150, metadata=DATELESS.get(form))
    return file.getvalue()


def figure_of(scene: Landscape) -> Figure:
    """Return the picture."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 6), layout="constrained")
    axes = figure.add_subplot()
    axes.set_facecolor("0.5")  # where there is no finite loss
    _ground(scene, figure, axes)
    _walk(scene, axes)
    axes.set_xlim(scene.xs[0], scene.xs[-1])
    axes.set_ylim(scene.ys[0], scene.ys[-1])
    axes.set_xlabel(scene.plane.names[0])
    axes.set_ylabel(scene.plane.names[1])
    title, points, *notes = said(scene)
    points = points.rpartition("; ")[2]
    title = "\n".join(wrap(f"{title}, {points}", TITLE_LETTERS))
    axes.set_title("\n".join([title, *notes]), fontsize="small")
    return figure


def _ground(scene: Landscape, figure: Figure, axes: Axes) -> None:
    scale = height_scale(scene.losses)
    if scale is None:
        return
    places = np.ma.masked_invalid(heights(scene.losses, scale))
    shown: ScalarMappable
    if min(places.shape) >= FINE:
        shown = axes.contourf(scene.xs, scene.ys, places, LEVELS, cmap=MAP)
        axes.contour(scene.xs, scene.ys, places, LEVELS[::2], colors="0.3", linewidths=0.3)
    else:
        shown = axes.imshow(
            places, MAP, vmin=0, vmax=1, extent=_cells(scene), origin="lower", aspect="auto"
        )
    ticks = scale.ticks(6)
    bar = figure.colorbar(shown, ax=axes, label="training loss")
    bar.set_ticks([scale(tick) for tick in ticks], labels=[rounded(float(t)) for t in ticks])


def _cells(scene: Landscape) -> tuple[float, float, float, float]:
    """Return the ends of a picture that has a cell around each point."""
    half = [0.5 * (axis[-1] - axis[0]) / (len(axis) - 1) for axis in (scene.xs, scene.ys)]
    (left, right), (low, high) = (
        (float(axis[0] - by), float(axis[-1] + by))
        for axis, by in zip((scene.xs, scene.ys), half, strict=True)
    )
    return left, right, low, high


def _walk(scene: Landscape, axes: Axes) -> None:
    """Draw the ways, with a dot where they start and a star, or a cross, where they end."""
    from matplotlib.patheffects import Normal, Stroke

    ways = scene.ranked
    labels = trial_labels([way.trial for way in ways])
    size = np.array([scene.xs[-1] - scene.xs[0], scene.ys[-1] - scene.ys[0]])
    halo = [Stroke(linewidth=3.5, foreground="white"), Normal()]
    for order in reversed(range(len(ways))):  # the best on top
        color, style = _look(order)
        x, y = _cut(ways[order], size).T
        if ways[order].diverged:  # from side to side: it would cover the others and the ground
            axes.plot(x, y, color=color, linestyle=style, linewidth=0.8, alpha=0.8)
        else:
            axes.plot(x, y, color=color, linestyle=style, linewidth=1.8, path_effects=halo)
        axes.plot(x[:1], y[:1], "o", color=color, markeredgecolor="white", markersize=6, zorder=4)
        end = "X" if ways[order].diverged else "*"
        axes.plot(
            x[-1:], y[-1:], end, color=color, markeredgecolor="white", markersize=11, zorder=4
        )
    _figure_legend(axes, labels)


def _look(order: int) -> tuple[str, Style]:
    """Return a way's colour and style; those without a name are grey."""
    if order >= MOST_NAMED:
        return "0.4", "solid"
    return COLORS[order % len(COLORS)], STYLES[order % len(STYLES)]


def _figure_legend(axes: Axes, labels: Sequence[str]) -> None:
    """Name the ways that end lowest; a dollar is a dollar, and begins no formula."""
    from matplotlib.lines import Line2D

    lines = []
    for order, label in enumerate(labels[:MOST_NAMED]):
        color, style = _look(order)
        name = label.replace("$", r"\$")
        lines.append(Line2D([], [], color=color, linestyle=style, linewidth=1.8, label=name))
    rest = len(labels) - len(lines)
    title = f"grey: {rest} that end higher" if rest else None
    below = axes.legend(
        handles=lines,
        loc="upper center",
        bbox_to_anchor=(0.5, -0.12),
        ncols=2,
        frameon=False,
        fontsize="small",
    )
    below.set_title(title or "")


def _cut(way: Way, size: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the points up to the first that is far off, which is brought nearer."""
    points = way.coordinates
    steps = np.diff(points, axis=0) / size
    off = np.flatnonzero(~(abs(steps).max(1, initial=0.0) <= FAR))
    if not off.size:
        return points
    last = int(off[0])
    step = steps[last]
    longest = abs(step).max()
    if not np.isfinite(longest):
        return points[: last + 1]
    nearer = points[last] + step / longest * FAR * size
    return np.vstack([points[: last + 1], nearer])
