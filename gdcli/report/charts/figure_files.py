"""Pictures as files, drawn with matplotlib: the one way to a PNG, an SVG or a PDF.

The same run gives the same bytes. Lines are told apart by the colour-blind and on a grey print.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from io import BytesIO
from math import ceil, isfinite, nan
from typing import TYPE_CHECKING, Any, NamedTuple
from warnings import catch_warnings, filterwarnings

from gdcli.numbers import distinct_labels, rounded
from gdcli.report.charts.chart import (
    DIVERGED,
    LANE,
    MOST_LINES,
    Axis,
    Chart,
    HeatMap,
    Line,
    Panel,
    axis_for,
    axis_of,
    rate_ticks,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette, which colour-blind readers tell apart, without its black and yellow.
COLORS = ("#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#0072B2")
DASHES = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)), (0, (9, 3)))
MARKERS = ("o", "s", "^", "D", "v", "P")  # an X is kept for divergence
SHADES, PALEST = "viridis", 0.9  # of lines in an order: they get brighter evenly
SETTINGS: dict[Any, Any] = {
    "svg.hashsalt": "gdcli",  # or its ids are random
    "svg.fonttype": "none",  # text is text: found by a search, and small
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 9.0,
    "grid.alpha": 0.3,
    "legend.fontsize": 8.0,
    "lines.linewidth": 1.5,
    "lines.markersize": 4.0,
    "savefig.dpi": 200,
}


@contextmanager
def style() -> Iterator[None]:
    """Draw and save in gdcli's style inside, whatever the user's matplotlibrc says."""
    import matplotlib as mpl

    with mpl.rc_context(), catch_warnings():
        mpl.rcdefaults()
        mpl.rcParams.update(SETTINGS)
        # The font has no Chinese, say: a box stands for each letter.
        filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def look(line: Line, order: int) -> dict[str, Any]:
    """Return the colour, the dashes and the markers of a panel's line, about ten markers each."""
    import matplotlib as mpl

    every = max(1, len(line.points) // 10)
    shaded = None if line.shade is None else mpl.colormaps[SHADES](PALEST * line.shade)
    return {
        "color": shaded or COLORS[order],
        "linestyle": DASHES[order],
        "marker": MARKERS[order],
        "markevery": (order * every // len(MARKERS), every),
    }


def plain(text: str) -> str:
    """Return a text for matplotlib in which a dollar is a dollar, and begins no formula."""
    return text.replace("$", r"\$")


CARETDOWNBASE = 11  # a triangle that stands on its tip: matplotlib knows it by number
ACROSS = 3  # panels side by side
ONE, MANY = (7.2, 4.6), (3.4, 3.0)  # inches: of a panel alone, of one among others
ENTRY, HANDLE, LETTER = 0.2, 0.6, 0.065  # inches: of a legend's line, and of what it is made of
CAPTION = 2  # labels side by side, where they fit
TICKS = 6  # of an upright axis
ROOM = 0.03  # of the height, above and below the axis
NEAR = 0.012  # of the height: marks that are closer, at the same x, hide each other
ASIDE = 0.012  # of the width: how far such marks are moved from each other
FEW = 19  # points of a line up to which all of them have a mark


def draw_chart(chart: Chart, figure: Figure) -> list[str]:
    """Draw the panels with shared axes; return what has to be said of bands and marks."""
    across = min(ACROSS, len(chart.panels)) or 1
    down = ceil(len(chart.panels) / across) or 1
    width, height = ONE if across == down == 1 else MANY
    shared = _shared(chart.panels)
    beside = _beside(shared, width * across)
    below = ceil(len(shared) / beside) if shared else max(_lengths(chart.panels)) * down
    figure.set_size_inches(width * across, height * down + ENTRY * below)
    grid = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False)
    axis = axis_of(chart)
    moved = False
    for axes, panel in zip(grid.flat, chart.panels, strict=False):
        moved |= _draw_panel(axes, panel, axis, chart)
        if not shared and panel.lines:
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), frameon=False)
    for axes in grid.flat[len(chart.panels) :]:
        axes.set_axis_off()
    _upright(grid[0, 0], axis)
    _across(grid[0, 0], chart)
    # The lowest panel of each column says what x is: the last row may have fewer.
    for axes in grid.flat[max(0, len(chart.panels) - across) : len(chart.panels)]:
        axes.set_xlabel(plain(chart.x))
        axes.tick_params(labelbottom=True)
    figure.supylabel(plain(chart.y), fontsize="medium")
    if shared:
        figure.legend(*_named(grid.flat), loc="outside lower center", ncols=beside, frameon=False)
    return _explained(chart, axis, moved=moved)


def _shared(panels: Sequence[Panel]) -> list[str]:
    """Return the labels of all panels, where one legend can name them: it lies on no data."""
    labels = list(dict.fromkeys(line.label for panel in panels for line in panel.lines))
    alike = all(line.shade is not None for panel in panels for line in panel.lines)
    return labels if len(panels) == 1 or (alike and len(labels) <= 2 * MOST_LINES) else []


def _beside(labels: Sequence[str], width: float) -> int:
    """Return how many of the labels stand side by side in a legend, one at least."""
    longest = max(map(len, labels), default=0)
    return max(1, min(CAPTION, int(width / (HANDLE + LETTER * longest))))


def _lengths(panels: Sequence[Panel]) -> list[int]:
    return [0, *(len(panel.lines) for panel in panels)]


def _named(every: Any) -> tuple[list[Any], list[str]]:
    """Return the first line of each label, and the labels."""
    found: dict[str, Any] = {}
    for axes in every:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    return list(found.values()), list(found)


def _upright(axes: Axes, axis: Axis) -> None:
    """Label the upright axis, and rule off what lies above and below its scale."""
    ticks = axis.labels(TICKS)
    axes.set_ylim(-ROOM, 1 + ROOM)
    axes.set_yticks([place for place, _ in ticks], [label for _, label in ticks])


def _across(axes: Axes, chart: Chart) -> None:
    """Label the other axis: the learning rates themselves, or whole epochs."""
    from matplotlib.ticker import MaxNLocator, NullLocator

    xs = [x for panel in chart.panels for line in panel.lines for x, _ in line.points]
    if chart.log_x:
        axes.set_xscale("log")
        ticks = rate_ticks(xs, TICKS)
        labels = distinct_labels([*xs, *ticks])
        axes.set_xticks(ticks, [labels[tick] for tick in ticks])
        axes.xaxis.set_minor_locator(NullLocator())
    elif len(set(xs)) == 1:
        axes.set_xticks(xs[:1], [f"{xs[0]:.4g}"])
    elif xs and max(xs) - min(xs) >= 1:
        axes.xaxis.set_major_locator(MaxNLocator(TICKS, integer=True, steps=[1, 2, 5, 10]))


def _draw_panel(axes: Axes, panel: Panel, axis: Axis, chart: Chart) -> bool:
    """Draw lines and marks; return whether marks were moved that would hide each other."""
    rules = [axis.bottom - LANE / 2] * axis.zero + [LANE / 2] * axis.sunk
    rules += [axis.knee] * axis.bent + [1 - LANE / 2] * bool(axis.lost)
    for height in rules:
        axes.axhline(height, color="0.4", linestyle=":", linewidth=0.8, zorder=1)
    moved, pen = _apart(panel, axis, chart), _Pen(axes, axis, every=chart.log_x)
    for order, line in enumerate(panel.lines):
        pen.draw(line, look(line, order), moved.get(order, {}))
    if panel.title:
        axes.set_title(plain(panel.title), fontsize="medium")
    return bool(moved)


class _Pen(NamedTuple):
    """What draws the lines of a panel."""

    axes: Axes
    axis: Axis
    every: bool  # lost values are marked wherever they are; else a line ends at the first

    def draw(self, line: Line, marks: dict[str, Any], moved: dict[int, float]) -> None:
        """Draw the medians with their marks, and the quartiles.

        `moved` has the x of the marks that do not stand on their points, by the points' places.
        """
        xs = [x for x, _ in line.points]
        ys = [self.axis(values.median) for _, values in line.points]
        lost = [place for place, (_, v) in enumerate(line.points) if self.axis.beyond(v.median)]
        last = len(xs) if self.every or not lost else lost[0]
        gone = {*lost, *range(last, len(xs))} - (set() if self.every else {last})
        shown = [nan if place in gone else y for place, y in enumerate(ys)]
        held = {**marks, "markevery": []} if moved else marks
        self.axes.plot(xs, shown, label=plain(line.label), zorder=3, **held)
        style = {"color": marks["color"], "linestyle": "", "zorder": 4}
        at = [moved.get(place, x) for place, x in enumerate(xs)]
        if moved:
            self.axes.plot(at, shown, marker=marks["marker"], **style)
        crosses = self._crosses(line, lost)
        x, y = [at[place] for place in crosses], [ys[place] for place in crosses]
        self.axes.plot(x, y, marker="X", markersize=7, **style)
        below = [self.axis.below(values.median) for _, values in line.points]
        low = [
            x for x, is_low, was in zip(xs, below, [False, *below], strict=False) if is_low > was
        ]
        bottom = [self.axis.bottom] * len(low)
        self.axes.plot(low, bottom, marker=CARETDOWNBASE, markersize=5, **style)
        self._quartiles(line, [isfinite(y) for y in shown], marks["color"])

    def _crosses(self, line: Line, lost: Sequence[int]) -> Sequence[int]:
        """Return the places of the points that have a cross."""
        if self.every:
            return lost
        return lost[:1] or ([len(line.points) - 1] if line.diverged else [])

    def _quartiles(self, line: Line, where: Sequence[bool], color: Any) -> None:
        xs = [x for x, _ in line.points]
        lows = [self.axis(values.low) for _, values in line.points]
        highs = [self.axis(values.high) for _, values in line.points]
        if lows != highs:
            self.axes.fill_between(xs, lows, highs, where=where, color=color, alpha=0.2, lw=0)


def _apart(panel: Panel, axis: Axis, chart: Chart) -> dict[int, dict[int, float]]:
    """Return, by line and point, the x of marks that are moved so as not to hide each other.

    All lines but those over learning rates begin at one point: there none is moved.
    """
    xs = [x for line in panel.lines for x, _ in line.points]
    first = None if chart.log_x else min(xs, default=None)
    spots: dict[float, list[tuple[float, int, int]]] = {}
    for order, line in enumerate(panel.lines):
        for place, (x, values) in enumerate(line.points if len(line.points) <= FEW else ()):
            if x != first or len(line.points) == 1:
                spots.setdefault(x, []).append((axis(values.median), order, place))
    moved: dict[int, dict[int, float]] = {}
    for x, found in spots.items():
        for group in _close(sorted(found)):
            for rank, (_, order, place) in enumerate(group):
                share = ASIDE * (rank - (len(group) - 1) / 2)
                moved.setdefault(order, {})[place] = _aside(x, share, xs, log=chart.log_x)
    return moved


def _close(spots: Sequence[tuple[float, int, int]]) -> Iterator[list[tuple[float, int, int]]]:
    """Yield the groups of spots, in the order of their heights, that hide each other."""
    group = list(spots[:1])
    for spot in spots[1:]:
        if spot[0] - group[-1][0] > NEAR:
            if len(group) > 1:
                yield group
            group = []
        group.append(spot)
    if len(group) > 1:
        yield group


def _aside(x: float, share: float, xs: Sequence[float], *, log: bool) -> float:
    """Return an x that is moved by a share of the width."""
    if log:
        return x * float((max(xs) / min(xs) if max(xs) > min(xs) else 1.1) ** share)
    return x + share * (max(xs) - min(xs) or 0.1)


def _explained(chart: Chart, axis: Axis, *, moved: bool) -> list[str]:
    """Return the key of bands and marks, for those that there are."""
    lines = [line for panel in chart.panels for line in panel.lines]
    points = [values for line in lines for _, values in line.points]
    notes = ["bands: quartiles over seeds"] if any(v.count > 1 for v in points) else []
    diverged = [DIVERGED] if any(line.diverged for line in lines) else []
    if crossed := dict.fromkeys([*diverged, *([chart.lost] if axis.lost else [])]):
        notes.append(f"X: {' or '.join(crossed)}")
    if moved:
        notes.append("marks at one place stand side by side")
    return [*notes, *axis.notes(values.median for values in points)]


COLORMAP = "viridis_r"  # its brightness falls evenly: the lowest value is the brightest
LOST = 0.85  # the brightness of what diverged or failed
BAR_TICKS = 5  # of the bar that says what the colours mean
MOST_LABELS = 20  # of an axis; where there are more, there is no room for numbers either
SQUARE_WIDTH, SQUARE_HEIGHT = 0.6, 0.4  # inches of a square
LETTERS = 12  # of a label, an inch
MARKS = {"diverged": "\u00d7", "failed": "!"}


def draw_heatmap(picture: HeatMap, figure: Figure) -> list[str]:
    """Draw the squares; return what has to be said of them."""
    width, height = len(picture.columns), len(picture.rows)
    figure.set_size_inches(
        3.0 + SQUARE_WIDTH * min(width, MOST_LABELS), 1.6 + SQUARE_HEIGHT * min(height, MOST_LABELS)
    )
    axes = figure.subplots()
    values = [[s.value if s else nan for s in row] for row in picture.squares]
    finite = [value for row in values for value in row if isfinite(value)]
    axis = axis_for(finite, log=picture.log, share=picture.share)
    mesh = axes.imshow(
        [[axis(value) if isfinite(value) else nan for value in row] for row in values],
        cmap=COLORMAP,
        vmin=0,
        vmax=1,
        aspect="auto",
        interpolation="nearest",
    )
    lost = [[1.0 if s and s.text else nan for s in row] for row in picture.squares]
    axes.imshow(lost, cmap="gray", vmin=0, vmax=1 / LOST, aspect="auto", interpolation="nearest")
    axes.grid(visible=False)
    _label(axes.xaxis, picture.columns, picture.x)
    _label(axes.yaxis, picture.rows, picture.y)
    if finite:
        ticks = axis.labels(BAR_TICKS)
        bar = figure.colorbar(mesh, ax=axes)
        bar.set_ticks([place for place, _ in ticks], labels=[label for _, label in ticks])
    return [*_mark(axes, picture, axis), *axis.notes(finite)]


def _label(axis: Any, labels: Any, name: str) -> None:
    """Label the squares of an axis, or where they are many every few of them."""
    every = -(-len(labels) // MOST_LABELS)
    shown = [plain(label) for label in labels[::every]]
    room = LETTERS * SQUARE_WIDTH * min(len(labels), MOST_LABELS)
    crowded = axis.axis_name == "x" and sum(len(label) + 1 for label in shown) > room
    turned = {"rotation": 45, "ha": "right"} if crowded else {}
    axis.set_ticks(range(0, len(labels), every), shown, **turned)
    axis.set_label_text(plain(name))


def _mark(axes: Axes, picture: HeatMap, axis: Axis) -> list[str]:
    """Write into the squares what there is room for; return the key of the marks."""
    if max(len(picture.columns), len(picture.rows)) > MOST_LABELS:
        return ["grey: diverged or failed"] if _texts(picture) else []
    for row, squares in enumerate(picture.squares):
        for column, square in enumerate(squares):
            if square is not None:
                color = "black" if square.text else _contrast(axis(square.value))
                text = MARKS.get(square.text) or rounded(square.value)
                axes.text(column, row, text, ha="center", va="center", color=color, fontsize=7)
    return [f"{mark} {word}" for word, mark in MARKS.items() if word in _texts(picture)]


def _texts(picture: HeatMap) -> set[str]:
    return {square.text for row in picture.squares for square in row if square} - {""}


def _contrast(place: float) -> str:
    import matplotlib as mpl

    red, green, blue, _ = mpl.colormaps[COLORMAP](place)
    return "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "white"


# Without dates, nor the version of matplotlib.
METADATA: dict[str, dict[str, None]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
PLACES, DECIMALS = re.compile(rb' (?:d|x|y)="[^"]*"'), re.compile(rb"(\.\d)\d+")


def figure_bytes(picture: Chart | HeatMap, form: str) -> bytes:
    """Return a picture as the bytes of a png, an svg or a pdf."""
    with style():
        from matplotlib.figure import Figure
        from matplotlib.font_manager import FontProperties

        figure = Figure(layout="constrained")
        if isinstance(picture, Chart):
            marks = draw_chart(picture, figure)
        else:
            marks = draw_heatmap(picture, figure)
        notes = plain("; ".join([*marks, *picture.notes]))
        figure.suptitle(plain(picture.title), fontsize="large")
        if figure.legends:  # they would lie upon each other
            figure.legends[0].set_title(notes, FontProperties(size="small"))
        else:
            figure.supxlabel(notes, fontsize="small", x=0.99, ha="right")
        file = BytesIO()
        figure.savefig(file, format=form, metadata=METADATA[form])
    return _rounded(file.getvalue()) if form == "svg" else file.getvalue()


def _rounded(svg: bytes) -> bytes:
    """Return an SVG whose paths and places have one decimal of a point, to be small."""
    return PLACES.sub(lambda found: DECIMALS.sub(rb"\1", found[0]), svg)
