"""The median loss curves of a run in the terminal, each setting at its best learning rate."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.text import Text

from gdcli.analysis.median_curve import median_curve, read_curves
from gdcli.analysis.results import Cell, Setting
from gdcli.report.labels import apart
from gdcli.report.plot import MOST_CURVES, PlotCurve, plot


def curve_lines(
    folder: Path, settings: Sequence[Setting], labels: Sequence[str], width: int
) -> list[Text]:
    """Return the lines of a plot of the settings with the lowest losses.

    A setting that diverged at every learning rate is drawn at the smallest. No lines where no
    trial has a curve. Raises UserError where curves.csv is missing or damaged.
    """
    ranked = sorted(zip(settings, labels, strict=True), key=lambda pair: pair[0].median)
    chosen = [(setting, _drawn(setting), label) for setting, label in ranked[:MOST_CURVES]]
    curves = read_curves(folder, {trial.id for _, cell, _ in chosen for trial in cell.ran})
    if not curves:
        return []
    rates = apart(cell.lr for _, cell, _ in chosen)
    lines = plot(
        [
            PlotCurve(
                f"{label} lr {rates[cell.lr]}", median_curve(cell.ran, curves), not setting.best
            )
            for setting, cell, label in chosen
        ],
        width,
        "epoch",
    )
    if len(ranked) > len(chosen):
        lines.append(Text(f"   the {len(chosen)} of {len(ranked)} settings with the lowest losses"))
    return lines


def _drawn(setting: Setting) -> Cell:
    return setting.best or next((cell for cell in setting.cells if cell.ran), setting.cells[0])
