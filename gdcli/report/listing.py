"""Rows as a table, CSV, JSON or Markdown: one way for every listing."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from rich.cells import cell_len
from rich.text import Text

from gdcli.csv_cell import harmless
from gdcli.report.console import literal
from gdcli.report.folded import folded

if TYPE_CHECKING:
    from rich.console import Console

Rows: TypeAlias = Sequence[Mapping[str, str]]


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
