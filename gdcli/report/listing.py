"""Rows as a table, CSV, JSON or Markdown: one way for every listing."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from rich import box
from rich.cells import cell_len
from rich.table import Table

from gdcli.report.console import literal

if TYPE_CHECKING:
    from rich.console import Console

GAP = 2  # columns of the screen between two of a table's
LONGEST_WORD = 20  # columns that a cell takes which is never folded
LEAST_TEXT = 10  # columns that are left to a cell which is
Rows: TypeAlias = Sequence[Mapping[str, str]]


def print_listing(rows: Rows, form: str, console: Console) -> None:
    """Print rows, all of the same keys, in the `form` table, csv, json or md."""
    write = {"table": _table, "csv": _csv, "json": _json, "md": _markdown}[form]
    write(rows, console)


def _table(rows: Rows, console: Console) -> None:
    if not console.is_terminal:
        write_lines(_aligned(rows), console)
        return
    table = Table(*columns_of(rows), box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for column in table.columns:
        column.overflow = "fold"
    for row in rows:
        table.add_row(*map(literal, row.values()))
    _keep_words(table, console.width)
    console.print(table)


def _keep_words(table: Table, width: int) -> None:
    """Let only long texts be folded, where that leaves them room enough."""
    cells = [[str(column.header), *map(str, column.cells)] for column in table.columns]
    widths = [max(map(cell_len, column)) for column in cells]
    short = [
        most <= LONGEST_WORD and not any(" " in c for c in column[1:])
        for most, column in zip(widths, cells, strict=True)
    ]
    words = sum(most for most, word in zip(widths, short, strict=True) if word)
    if words + LEAST_TEXT * short.count(False) + GAP * len(cells) <= width:
        for column, word in zip(table.columns, short, strict=True):
            column.no_wrap = word


def _aligned(rows: Rows) -> list[str]:
    cells = [columns_of(rows), *([literal(cell) for cell in row.values()] for row in rows)]
    widths = [max(map(cell_len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(map(_padded, line, widths)).rstrip() for line in cells]


def _padded(cell: str, width: int) -> str:
    """Pad to a width on the screen, where some characters are two columns wide."""
    return cell + " " * (width - cell_len(cell))


def _csv(rows: Rows, console: Console) -> None:
    writer = csv.writer(console.file, lineterminator="\n")
    writer.writerow(columns_of(rows))
    writer.writerows([literal(cell) for cell in row.values()] for row in rows)


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
