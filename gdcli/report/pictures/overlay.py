"""The curves of several runs over each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf

from gdcli.analysis.results import Setting
from gdcli.report.labels import apart
from gdcli.report.pictures.curves import drawn
from gdcli.report.pictures.multiples import MOST_PANELS
from gdcli.report.pictures.picture import MOST_LINES, Chart, Line, Panel, panel_of
from gdcli.report.pictures.source import Source


def best_of_runs(sources: Mapping[str, Source]) -> Chart:
    """Return a line a run, its best setting at its best learning rate, the lowest runs first."""
    best = {name: min(source.settings, key=_median) for name, source in sources.items()}
    shown = sorted(best, key=lambda name: best[name].median)[:MOST_LINES]
    rates = apart(
        cell.lr for source in sources.values() for s in source.settings for cell in s.cells
    )
    lines = []
    for name in shown:
        source, setting, cell = sources[name], best[name], drawn(best[name])
        (band,) = source.bands([cell])
        label = f"{name}: {source.name(setting)} lr {rates[cell.lr]}"
        lines.append(Line(label, band, not setting.best))
    cut = f"the {len(shown)} of {len(best)} runs with the lowest losses"
    notes = [cut] if len(shown) < len(best) else []
    return _chart(sources, "the best setting of each run", [panel_of("", lines)], notes)


def settings_of_runs(sources: Mapping[str, Source]) -> Chart:
    """Return a panel a setting, its runs over each other; the settings with the lowest losses."""
    runs = list(sources)[:MOST_LINES]
    held = {name: {sources[name].name(s): s for s in sources[name].settings} for name in runs}
    every = list(dict.fromkeys(setting for settings in held.values() for setting in settings))
    lowest = {name: min(_median(s.get(name)) for s in held.values()) for name in every}
    chosen = sorted(every, key=lowest.__getitem__)[:MOST_PANELS]
    lines: dict[str, list[Line]] = {name: [] for name in every if name in chosen}
    for run in runs:
        shown = [held[run][name] for name in lines if name in held[run]]
        cells = list(map(drawn, shown))
        rates = apart(cell.lr for setting in sources[run].settings for cell in setting.cells)
        for setting, cell, band in zip(shown, cells, sources[run].bands(cells), strict=True):
            line = Line(f"{run} lr {rates[cell.lr]}", band, not setting.best)
            lines[sources[run].name(setting)].append(line)
    notes = [f"the first {len(runs)} of {len(sources)} runs"] if len(runs) < len(sources) else []
    if len(lines) < len(every):
        notes.append(f"the {len(lines)} of {len(every)} settings with the lowest losses")
    panels = [panel_of(name, of_runs) for name, of_runs in lines.items()]
    return _chart(sources, "each setting at its best learning rate in each run", panels, notes)


def _median(setting: Setting | None) -> float:
    return setting.median if setting else inf


def _chart(
    sources: Mapping[str, Source], what: str, panels: Sequence[Panel], notes: Sequence[str]
) -> Chart:
    source = next(iter(sources.values()))
    title = f"Median {source.label} over seeds, {what}"
    return source.chart(title, panels, notes)
