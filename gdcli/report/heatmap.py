"""The table of final losses over learning rates, coloured by rank."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from rich.text import Text

from gdcli.analysis.results import Cell, Setting
from gdcli.report.blocks import Column, blocks
from gdcli.report.labels import apart, short

# Viridis from the lowest loss to the highest: the colour-blind, and prints in grey, tell its
# colours apart by their brightness.
COLORS = (
    "black on #fde725",
    "black on #90d743",
    "black on #35b779",
    "white on #21918c",
    "white on #31688e",
    "white on #443983",
    "white on #440154",
)
BEST = "*"
MOST_RATES = 48


def heatmap(
    settings: Sequence[Setting], labels: Sequence[str], width: int, *, colored: bool
) -> list[Text]:
    """Return the lines of a table: a row a setting, a column a learning rate.

    A cell is the median final training loss over the seeds, or says diverged, failed, or nothing
    where there is no trial.
    """
    rates = apart(cell.lr for setting in settings for cell in setting.cells)
    shown = _shown(list(rates), settings)
    styles = _styles(settings) if colored else {}
    columns = [_column(lr, rates[lr], settings, styles) for lr in shown]
    lines = blocks(Column("lr", labels), columns, width)
    if len(shown) < len(rates):
        lines.append(Text(f"{len(shown)} of {len(rates)} learning rates are shown"))
    return [*lines, *_key(settings)]


def _shown(rates: Sequence[float], settings: Sequence[Setting]) -> list[float]:
    """Return the learning rates, or where they are many every few of them and the best."""
    every = -(-len(rates) // MOST_RATES)
    best = {setting.best.lr for setting in settings if setting.best}
    return [lr for place, lr in enumerate(rates) if place % every == 0 or lr in best]


def _column(lr: float, label: str, settings: Sequence[Setting], styles: dict[float, str]) -> Column:
    cells = [next((cell for cell in s.cells if cell.lr == lr), None) for s in settings]
    marks = [
        BEST if cell and cell is setting.best else " "
        for cell, setting in zip(cells, settings, strict=True)
    ]
    texts = [_text(cell) + mark for cell, mark in zip(cells, marks, strict=True)]
    return Column(
        f"{label} ", texts, [styles.get(cell.median, "") if cell else "" for cell in cells]
    )


def _text(cell: Cell | None) -> str:
    if cell is None:
        return ""
    if not cell.ran:
        return "failed"
    if not isfinite(cell.median):
        return "diverged"
    return short(cell.median) + (f" {cell.diverged}/{len(cell.ran)}x" if cell.diverged else "")


def _styles(settings: Sequence[Setting]) -> dict[float, str]:
    """Return the colour of each finite median, by its rank among all."""
    medians = {cell.median for setting in settings for cell in setting.cells}
    ranked = sorted(filter(isfinite, medians))
    last = max(1, len(ranked) - 1)
    return {loss: COLORS[rank * (len(COLORS) - 1) // last] for rank, loss in enumerate(ranked)}


def _key(settings: Sequence[Setting]) -> list[Text]:
    """Return a line that explains the marks, where there are some."""
    cells = [cell for setting in settings for cell in setting.cells]
    lost = any(cell.diverged and isfinite(cell.median) for cell in cells)
    marks = [f"{BEST} lowest of its row"] if any(setting.best for setting in settings) else []
    marks += ["1/3x: 1 of 3 seeds diverged"] if lost else []
    return [Text("; ".join(marks))] if marks else []
