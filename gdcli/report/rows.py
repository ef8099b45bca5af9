"""Rows of values in every form: in full for programs, rounded for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from gdcli.report.console import literal, print_lines
from gdcli.report.labels import for_json, in_full, texts_of
from gdcli.report.listing import print_json, print_listing

if TYPE_CHECKING:
    from rich.console import Console

    from gdcli.analysis.rows import Value


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
        print_listing([{n: in_full(row[n]) for n in names} for row in shown], form, console)
        return
    print_listing(texts_of(shown, names, rates), form, console)
    if form == "table":
        print_lines(notes, console)


def _says_something(rows: Sequence[Mapping[str, Value]], name: str) -> bool:
    return any(isinstance(row[name], float) or row[name] not in {None, 0} for row in rows)
