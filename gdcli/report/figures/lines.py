"""A chart as a matplotlib figure: a median line with its quartiles for each setting."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil, isfinite, nan
from typing import TYPE_CHECKING, Any, NamedTuple

from gdcli.report.axis import LANE, Axis, axis_of
from gdcli.report.figures.style import look, plain
from gdcli.report.labels import apart
from gdcli.report.pictures.picture import DIVERGED, MOST_LINES, Chart, Line, Panel
from gdcli.report.scale import rate_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

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
        labels = apart([*xs, *ticks])
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
