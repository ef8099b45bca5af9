"""A table of unbroken columns: those that do not fit the width stand in a block below."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from rich.cells import cell_len
from rich.text import Text

GAP = "  "


@dataclass(frozen=True)
class Column:
    """A header and its cells, aligned to the right."""

    header: str
    cells: Sequence[str]
    styles: Sequence[str] = ()  # Rich's, one a cell; none: all plain

    @cached_property
    def width(self) -> int:
        """The width on the screen, with the gap to the left."""
        return len(GAP) + max(map(cell_len, [self.header, *self.cells]))

    def append(self, line: Text, row: int) -> None:
        """Add a cell, or the header as row -1, to the right end of a line."""
        text = self.header if row < 0 else self.cells[row]
        line.append(" " * (self.width - cell_len(text)))
        line.append(text, "bold" if row < 0 else self.styles[row] if self.styles else "")


def blocks(side: Column, columns: Sequence[Column], width: int) -> list[Text]:
    """Return the lines of a table with the names of its rows, aligned to the left, at its side.

    As many columns as fit the width stand next to each other, and one at least.
    """
    own = side.width - len(GAP)
    names = [(side.header, "bold"), *((name, "") for name in side.cells)]
    lines: list[Text] = []
    for block in _fitting(columns, width - own):
        lines += [Text()] if lines else []
        for row, (name, style) in enumerate(names, start=-1):
            line = Text.assemble((name, style), " " * (own - cell_len(name)))
            for column in block:
                column.append(line, row)
            line.rstrip()
            lines.append(line)
    return lines


def _fitting(columns: Sequence[Column], width: int) -> Iterator[list[Column]]:
    """Yield the columns in groups that fit the width."""
    block: list[Column] = []
    for column in columns:
        if block and sum(other.width for other in block) + column.width > width:
            yield block
            block = []
        block.append(column)
    yield block
