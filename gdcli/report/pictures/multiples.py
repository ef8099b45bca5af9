"""A panel for each setting: its learning rates over the epochs."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from gdcli.analysis.results import Cell, Setting
from gdcli.report.labels import apart
from gdcli.report.pictures.picture import MOST_LINES, Chart, Line, panel_of
from gdcli.report.pictures.source import Source

MOST_PANELS = 12


def multiples(source: Source) -> Chart:
    """Return a panel a setting, those with the lowest training losses, in the grid's order."""
    chosen = _chosen(source.settings)
    rates = apart(cell.lr for setting in source.settings for cell in setting.cells)
    shades = {lr: place / max(1, len(rates) - 1) for place, lr in enumerate(rates)}
    shown = [_thinned(setting) for setting in chosen]
    bands = iter(source.bands([cell for cells in shown for cell in cells]))
    panels = []
    for setting, cells in zip(chosen, shown, strict=True):
        lines = [
            Line(f"lr {rates[cell.lr]}", next(bands), not isfinite(cell.median), shades[cell.lr])
            for cell in cells
        ]
        panels.append(panel_of(source.name(setting), lines))
    title = f"Median {source.label} over seeds, by learning rate"
    notes = _notes(source.settings, chosen, shown)
    return source.chart(title, panels, notes)


def _chosen(settings: Sequence[Setting]) -> list[Setting]:
    ranked = sorted(range(len(settings)), key=lambda place: settings[place].median)
    return [settings[place] for place in sorted(ranked[:MOST_PANELS])]


def _thinned(setting: Setting) -> list[Cell]:
    """Return a setting's learning rates, or where they are many some of them and the best."""
    cells = setting.cells
    if len(cells) <= MOST_LINES:
        return list(cells)
    last = MOST_LINES - 1
    places = {place * (len(cells) - 1) // last for place in range(MOST_LINES)}
    if setting.best and (best := cells.index(setting.best)) not in places:
        places.remove(min(places - {0, len(cells) - 1}, key=lambda place: abs(place - best)))
        places.add(best)
    return [cells[place] for place in sorted(places)]


def _notes(
    settings: Sequence[Setting], chosen: Sequence[Setting], shown: Sequence[Sequence[Cell]]
) -> list[str]:
    notes = []
    if len(chosen) < len(settings):
        notes.append(f"the {len(chosen)} of {len(settings)} settings with the lowest losses")
    if any(len(few) < len(s.cells) for s, few in zip(chosen, shown, strict=True)):
        notes.append(f"{MOST_LINES} learning rates of each, the best among them")
    return notes
