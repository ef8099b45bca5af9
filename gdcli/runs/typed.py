"""A run's tables by columns, each of one type, for whatever wants typed columns."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Literal, TypeAlias

from gdcli.runs.columns import Kind, kind_of

if TYPE_CHECKING:
    from gdcli.analysis.rows import Value
    from gdcli.runs.contents import Contents

Table: TypeAlias = Literal["curves.csv", "summary.csv"]
Block: TypeAlias = dict[str, list["Value"]]  # columns of equal length, by name
WIDEST = 2**63  # a signed integer of 64 bits is less


def kinds_of(run: Contents, table: Table) -> dict[str, Kind]:
    """Return what each column of a table holds, by name and in order.

    A whole number that 64 bits do not hold, as a seed may be, makes its column one of text.
    """
    settings, measures = run.columns(table)
    seen: dict[str, set[Value]] = {column.name: set() for column in settings}
    for held in run.settings():
        for name, value in held.items():
            seen[name].add(value)
    kinds = {c.name: c.kind or kind_of(seen[c.name]) for c in settings}
    wide = {n for n, kind in kinds.items() if kind == "whole" and any(map(_is_wide, seen[n]))}
    return {
        **{name: "text" if name in wide else kind for name, kind in kinds.items()},
        **{column.name: column.kind or "text" for column in measures},
    }


def _is_wide(value: Value) -> bool:
    return isinstance(value, int) and not -WIDEST <= value < WIDEST


def blocks(run: Contents, table: Table, trials: Collection[str], most: int) -> Iterator[Block]:
    """Yield a table in blocks of about `most` rows, whole trials each; one at least."""
    kinds = kinds_of(run, table)
    block: Block = {name: [] for name in kinds}
    for trial in run.trials(trials):
        measured = trial.curve if table == "curves.csv" else {n: [v] for n, v in trial.ends.items()}
        rows = len(next(iter(measured.values())))
        for name, value in trial.settings.items():
            block[name] += [_as(kinds[name], value)] * rows
        for name, values in measured.items():
            block[name] += values
        if len(block["trial"]) >= most:
            yield block
            block = {name: [] for name in kinds}
    yield block


def _as(kind: Kind, value: Value) -> Value:
    if value is None or kind == "whole":
        return value
    return float(value) if kind == "number" else str(value)
