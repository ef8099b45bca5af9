"""Rows as a table, CSV, JSON or Markdown, and how settings are written in them.

A table for people has rounded numbers. On a terminal its longest texts go on in the line below, or
the columns that do not fit stand in a block below.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import zip_longest
from typing import TYPE_CHECKING, TypeAlias

from rich.cells import cell_len, chop_cells

from gdcli.numbers import (
    all_digits,
    distinct_labels,
    factor,
    for_json,
    harmless,
    rounded,
    settings_in_words,
)
from gdcli.report.console import literal, print_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from rich.console import Console
    from rich.text import Text

    from gdcli.analysis.best import Setting
    from gdcli.runs.csv_read import Value

RATES = {  # columns of learning rates
    *("lr", "best_lr", "first_lr", "second_lr", "held_out_lr", "good_from", "good_to"),
}
FACTORS = {"rate", "theory_rate"}  # columns of what a step multiplies something by


def texts_of(
    rows: Sequence[Mapping[str, Value]], names: Sequence[str], rates: Iterable[float] = ()
) -> list[dict[str, str]]:
    """Return rows as people read them: rounded, but for what rounding would make another.

    Learning rates are told apart, from each other and from all `rates` of the run.
    """
    found = [row[name] for row in rows for name in names if name in RATES]
    known = distinct_labels([*rates, *(value for value in found if isinstance(value, float))])

    def text(name: str, value: Value) -> str:
        if isinstance(value, float) and name in RATES:
            return known.get(value, rounded(value))  # nan is not a key
        return factor(value) if isinstance(value, float) and name in FACTORS else rounded(value)

    return [{name: text(name, row[name]) for name in names} for row in rows]


def namer(names: Sequence[str], settings: Sequence[Setting]) -> Callable[[Setting], str]:
    """Return what names a setting: "minibatch 32 momentum cosine condition=10".

    The batch size is said where it is a choice, the schedule where there are several.
    """
    schedules = {setting.values[names.index("schedule")] for setting in settings}

    several = len(schedules) > 1

    def name(setting: Setting) -> str:
        given = dict(zip(names, setting.values, strict=True))
        return literal(settings_in_words(given, schedule=several))

    return name


GAP = "  "
LONGEST_WORD = 20  # columns of the screen that a cell takes which is never folded
LEAST_TEXT = 10  # columns that are left to a cell which is
Rows: TypeAlias = Sequence[Mapping[str, str]]


def print_rows(
    rows: Sequence[Mapping[str, Value]],
    form: str,
    console: Console,
    notes: Sequence[str] = (),
    rates: Iterable[float] = (),
) -> None:
    """Print rows, all of the same keys, in the `form` table, csv, json or md.

    csv and json have all digits and every column, json nan and inf as text; table and md have
    four digits, and table no column that is empty, or a count of 0, in every row: a value of 0.0
    is one. Learning rates are told apart, from all `rates` of the run, too. Below the table stand
    the notes.
    """
    shown = [{literal(key): value for key, value in row.items()} for row in rows]
    if form == "json":
        print_json([{k: for_json(v) for k, v in row.items()} for row in shown], console)
        return
    if not shown and form != "table":  # without a row there are no columns
        return
    names = [n for n in (shown[0] if shown else ()) if form != "table" or _says_something(shown, n)]
    if form == "csv":
        print_listing([{n: all_digits(row[n]) for n in names} for row in shown], form, console)
        return
    print_listing(texts_of(shown, names, rates), form, console)
    if form == "table":
        print_lines(notes, console)


def _says_something(rows: Sequence[Mapping[str, Value]], name: str) -> bool:
    return any(isinstance(row[name], float) or row[name] not in {None, 0} for row in rows)


def print_listing(rows: Rows, form: str, console: Console) -> None:
    """Print rows, all of the same keys, in the `form` table, csv, json or md."""
    write = {"table": _table, "csv": _csv, "json": _json, "md": _markdown}[form]
    write(rows, console)


def _table(rows: Rows, console: Console) -> None:
    width = console.width if console.is_terminal else sys.maxsize
    header, *lines = folded(_cells(rows), width)
    if not console.is_terminal:
        write_lines([line for row in (header, *lines) for line in row], console)
        return
    from rich.text import Text

    for line in header:
        console.print(Text(line, "bold"))
    widest = max(cell_len(line) for row in (header, *lines) for line in row)
    rule = "-" if console.options.ascii_only else "─"
    write_lines([rule * widest, *(line for row in lines for line in row)], console)


def _cells(rows: Rows) -> list[list[str]]:
    return [columns_of(rows), *([literal(cell) for cell in row.values()] for row in rows)]


def _csv(rows: Rows, console: Console) -> None:
    writer = csv.writer(console.file, lineterminator="\n")
    writer.writerow(map(harmless, columns_of(rows)))
    writer.writerows([harmless(literal(cell)) for cell in row.values()] for row in rows)


def _json(rows: Rows, console: Console) -> None:
    print_json([dict(row) for row in rows], console)


def print_json(value: object, console: Console) -> None:
    """Print strict JSON: nan and inf, which it does not have, are refused."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    write_lines([text], console)


def _markdown(rows: Rows, console: Console) -> None:
    columns = columns_of(rows)
    lines = [columns, ["---"] * len(columns), *(list(row.values()) for row in rows)]
    write_lines(["| " + " | ".join(map(_markdown_cell, line)) + " |" for line in lines], console)


def _markdown_cell(cell: str) -> str:
    return literal(cell).replace("\\", "\\\\").replace("|", "\\|")


def columns_of(rows: Rows) -> list[str]:
    """Return the keys of the rows."""
    return list(rows[0]) if rows else []


def write_lines(lines: Sequence[str], console: Console) -> None:
    """Write lines as they are: Rich would wrap them and drop control characters."""
    console.file.write("".join(f"{line}\n" for line in lines))


# Rich's own Table takes 50 times as long: 6.6 s for 5000 rows of 12 columns; this takes 0.12 s.
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


@dataclass(frozen=True)
class TextColumn:
    """A header and its cells, aligned to the right."""

    header: str
    cells: Sequence[str]
    styles: Sequence[str] = ()  # Rich's, one for each cell; none: all plain

    @cached_property
    def width(self) -> int:
        """The width on the screen, with the gap to the left."""
        return len(GAP) + max(map(cell_len, [self.header, *self.cells]))

    def append(self, line: Text, row: int) -> None:
        """Add a cell, or the header as row -1, to the right end of a line."""
        text = self.header if row < 0 else self.cells[row]
        line.append(" " * (self.width - cell_len(text)))
        line.append(text, "bold" if row < 0 else self.styles[row] if self.styles else "")


def blocks(side: TextColumn, columns: Sequence[TextColumn], width: int) -> list[Text]:
    """Return the lines of a table with the names of its rows, aligned to the left, at its side.

    As many columns as fit the width stand next to each other, and one at least.
    """
    from rich.text import Text

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


def _fitting(columns: Sequence[TextColumn], width: int) -> Iterator[list[TextColumn]]:
    """Yield the columns in groups that fit the width."""
    block: list[TextColumn] = []
    for column in columns:
        if block and sum(other.width for other in block) + column.width > width:
            yield block
            block = []
        block.append(column)
    yield block
