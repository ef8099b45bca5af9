"""The batches that a run has stored, as the tables that it would write of them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from itertools import chain
from pathlib import Path

from gdcli.analysis.rows import Row, rows_of
from gdcli.errors import UserError
from gdcli.fields import show
from gdcli.runs.rows import curve_columns, header, summary_columns
from gdcli.runs.settings import experiment_of
from gdcli.runs.spec import read_spec
from gdcli.runs.store import Store

FIX = "run the same experiment again with --overwrite"


class Stored:
    """The whole shards of a run that is not finished."""

    def __init__(self, folder: Path) -> None:
        """Find the shards; raises UserError where there are none to be found."""
        self.spec_file = folder / ".gdcli" / "spec.json"
        try:
            spec = read_spec(folder)
        except FileNotFoundError:
            fix = "give its command again, which goes on with it"
            raise UserError(show(str(folder)), "the run has not begun", fix) from None
        if spec is None:
            raise UserError(str(self.spec_file), "it is damaged", FIX)
        self.store = Store(folder, spec)

    def rows(self, table: str) -> Iterator[Row]:
        """Return the rows of curves.csv or summary.csv as far as they are known."""
        head = self._headers[table]
        lines = chain([head], chain.from_iterable(self._parts(table)))
        return rows_of(self.store.shards, lines)

    @cached_property
    def _headers(self) -> dict[str, str]:
        experiment = experiment_of(self.store.spec, str(self.spec_file))
        metrics = experiment.grid.metrics
        return {
            "curves.csv": header(curve_columns(experiment, metrics)),
            "summary.csv": header(summary_columns(experiment, metrics)),
        }

    def _parts(self, table: str) -> Iterator[list[str]]:
        for index in range(self.store.spec["batches"]):
            if shard := self.store.load(index):
                part = shard.curves if table == "curves.csv" else shard.summary
                yield part.decode().splitlines(keepends=True)
