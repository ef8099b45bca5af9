"""The table of final losses over learning rates, coloured by rank."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isfinite

from rich.cells import cell_len
from rich.text import Text

from gdcli.analysis.results import Cell, Setting
from gdcli.report.labels import apart, short

# Viridis from best to worst, which the colour-blind and grey prints tell apart by brightness.
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
GAP = "  "


@dataclass(frozen=True)
class _Column:
    """One learning rate: its texts with their styles, the header first, equally wide."""

    cells: tuple[tuple[str, str], ...]

    @property
    def width(self) -> int:
        return len(GAP) + max(len(text) for text, _ in self.cells)

    def padded(self, row: int) -> tuple[str, str]:
        text, style = self.cells[row]
        return f"{text:>{self.width - len(GAP)}}", style


def heatmap(
    settings: Sequence[Setting], labels: Sequence[str], width: int, *, colored: bool
) -> list[Text]:
    """Return the lines of a table: a row a setting, a column a learning rate.

    A cell is the median final training loss over the seeds, or says diverged, failed, or nothing
    where there is no trial. As many columns as fit the width stand side by side, the others in
    blocks below.
    """
    rates = apart(cell.lr for setting in settings for cell in setting.cells)
    styles = _styles(settings) if colored else {}
    columns = [_column(lr, label, settings, styles) for lr, label in rates.items()]
    stub = [*map(str, ("lr", *labels))]
    side = max(map(cell_len, stub))
    stub = [name + " " * (side - cell_len(name)) for name in stub]
    lines: list[Text] = []
    for block in _blocks(columns, width - side):
        lines += [Text()] if lines else []
        lines += [_line(name, row, block) for row, name in enumerate(stub)]
    return [*lines, *_key(settings)]


def _column(
    lr: float, label: str, settings: Sequence[Setting], styles: dict[float, str]
) -> _Column:
    cells = [(f"{label} ", "")]
    for setting in settings:
        cell = next((cell for cell in setting.cells if cell.lr == lr), None)
        mark = BEST if cell and cell is setting.best else " "
        cells.append((_text(cell) + mark, styles.get(cell.median, "") if cell else ""))
    return _Column(tuple(cells))


def _text(cell: Cell | None) -> str:
    if cell is None:
        return ""
    if not cell.ran:
        return "failed"
    if not isfinite(cell.median):
        return "diverged"
    lost = f" {cell.diverged}/{len(cell.ran)}x" if cell.diverged else ""
    return short(cell.median) + lost


def _styles(settings: Sequence[Setting]) -> dict[float, str]:
    """Return the colour of each finite median, by its rank among all."""
    medians = {cell.median for setting in settings for cell in setting.cells}
    ranked = sorted(filter(isfinite, medians))
    last = max(1, len(ranked) - 1)
    return {median: COLORS[rank * (len(COLORS) - 1) // last] for rank, median in enumerate(ranked)}


def _blocks(columns: Sequence[_Column], width: int) -> Iterator[list[_Column]]:
    """Yield the columns in groups that fit the width, one at least in each."""
    block: list[_Column] = []
    for column in columns:
        if block and sum(c.width for c in block) + column.width > width:
            yield block
            block = []
        block.append(column)
    yield block


def _line(name: str, row: int, block: Sequence[_Column]) -> Text:
    line = Text(name)
    for column in block:
        text, style = column.padded(row)
        line.append(GAP).append(text, style)
    line.rstrip()
    return line


def _key(settings: Sequence[Setting]) -> list[Text]:
    cells = [cell for setting in settings for cell in setting.cells]
    lost = any(cell.diverged and isfinite(cell.median) for cell in cells)
    parts = f"{BEST} best of its row", *(["1/3x: 1 of 3 seeds diverged"] if lost else [])
    return [Text("; ".join(parts))] if any(setting.best for setting in settings) else []
