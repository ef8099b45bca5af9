"""Rows of cells as lines that fit a terminal: its longest texts go on below."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import zip_longest

from rich.cells import cell_len, chop_cells

GAP = "  "
LONGEST_WORD = 20  # columns of the screen that a cell takes which is never folded
LEAST_TEXT = 10  # columns that are left to a cell which is


def folded(rows: Sequence[Sequence[str]], width: int) -> Iterator[list[str]]:
    """Yield the lines of each row, a header first, none wider than a terminal if that can be."""
    widths = _widths(rows, width)
    for row in rows:
        parts = [_fold(cell, most) for cell, most in zip(row, widths, strict=True)]
        yield [_line(line, widths) for line in zip_longest(*parts, fillvalue="")]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Return cells padded to widths on the screen, where some characters are two columns wide."""
    pairs = zip(cells, widths, strict=True)
    return GAP.join(cell + " " * (most - cell_len(cell)) for cell, most in pairs).rstrip()


def _widths(rows: Sequence[Sequence[str]], width: int) -> list[int]:
    """Return the columns' widths; those of words are kept where texts have room enough besides."""
    columns = list(zip(*rows, strict=True))
    widths = [max(map(cell_len, column)) for column in columns]
    room = width - len(GAP) * (len(columns) - 1)
    texts = [
        place
        for place, (most, column) in enumerate(zip(widths, columns, strict=True))
        if most > LONGEST_WORD or any(" " in cell for cell in column[1:])
    ]
    words = sum(widths) - sum(widths[place] for place in texts)
    if words + LEAST_TEXT * len(texts) > room:
        texts = list(range(len(columns)))
    while sum(widths) > room and texts:
        widest = max(texts, key=widths.__getitem__)
        if widths[widest] == 1:
            break
        widths[widest] -= 1
    return widths


@lru_cache(maxsize=4096)  # a column of a long table repeats its texts
def _fold(cell: str, width: int) -> list[str]:
    """Return a text in lines of that width, between words where there is a gap."""
    lines = [""]
    for word in cell.split(" ") if cell_len(cell) > width else ():
        joined = f"{lines[-1]} {word}" if lines[-1] else word
        if cell_len(joined) <= width:
            lines[-1] = joined
        else:
            lines += chop_cells(word, width)
    return [line for line in lines if line] or [cell]
