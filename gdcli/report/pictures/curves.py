"""Each setting over the epochs, at its best learning rate."""

from __future__ import annotations

from collections.abc import Sequence

from gdcli.analysis.results import Cell, Setting
from gdcli.report.labels import apart
from gdcli.report.pictures.picture import MOST_LINES, Chart, Line, panel_of
from gdcli.report.pictures.source import Source


def curves(source: Source) -> Chart:
    """Return the settings with the lowest training losses, the lowest first.

    A setting that diverged at every learning rate is drawn at the smallest. Raises UserError
    where curves.csv is missing or damaged.
    """
    chosen, notes = lowest(source.settings)
    cells = [drawn(setting) for setting in chosen]
    rates = apart(cell.lr for setting in source.settings for cell in setting.cells)
    labels = [f"{source.name(s)} lr {rates[c.lr]}" for s, c in zip(chosen, cells, strict=True)]
    lines = [
        Line(label, band, not setting.best)
        for label, setting, band in zip(labels, chosen, source.bands(cells), strict=True)
    ]
    title = f"Median {source.label} over seeds, each setting at its best learning rate"
    return source.chart(title, [panel_of("", lines)], notes)


def lowest(settings: Sequence[Setting]) -> tuple[list[Setting], list[str]]:
    """Return the settings with the lowest training losses, and a note if there are others."""
    ranked = sorted(settings, key=lambda setting: setting.median)
    chosen = ranked[:MOST_LINES]
    rest = len(ranked) > len(chosen)
    note = f"the {len(chosen)} of {len(ranked)} settings with the lowest losses"
    return chosen, [note] if rest else []


def drawn(setting: Setting) -> Cell:
    """Return the learning rate that is drawn: the best, or the smallest that ran."""
    return setting.best or next((cell for cell in setting.cells if cell.ran), setting.cells[0])
