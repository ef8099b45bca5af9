"""Rows of values in every form: in full for programs, rounded for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from gdcli.report.console import literal, print_lines
from gdcli.report.labels import for_json, in_full, short
from gdcli.report.listing import print_json, print_listing

if TYPE_CHECKING:
    from rich.console import Console

    from gdcli.analysis.rows import Value


def print_rows(
    rows: Sequence[Mapping[str, Value]],
    form: str,
    console: Console,
    notes: Sequence[str] = (),
) -> None:
    """Print rows, all of the same keys, in the `form` table, csv, json or md.

    csv and json have all digits and every column, json nan and inf as text; table and md have
    four digits, and table no column that is empty, or 0, in every row; below it stand the notes.
    """
    shown = [{literal(key): value for key, value in row.items()} for row in rows]
    if form == "json":
        print_json([{k: for_json(v) for k, v in row.items()} for row in shown], console)
        return
    text = in_full if form == "csv" else short
    names = [n for n in (shown[0] if shown else ()) if form != "table" or _says_something(shown, n)]
    print_listing([{n: text(row[n]) for n in names} for row in shown], form, console)
    if form == "table":
        print_lines(notes, console)


def _says_something(rows: Sequence[Mapping[str, Value]], name: str) -> bool:
    return any(row[name] not in {None, 0} for row in rows)
