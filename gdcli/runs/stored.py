"""The batches that a run has stored, as the tables that it would write of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import chain
from pathlib import Path

from gdcli.analysis.rows import Row, rows_of
from gdcli.door import GO_ON
from gdcli.errors import UserError
from gdcli.experiment.experiment import Experiment
from gdcli.fields import show
from gdcli.runs.lines import split
from gdcli.runs.rows import curve_columns, header, summary_columns
from gdcli.runs.settings import experiment_of
from gdcli.runs.spec import AGAIN, read_spec, spec_file
from gdcli.runs.store import Store


class Stored:
    """The whole shards of a run that is not finished."""

    def __init__(self, folder: Path, *, trust: bool) -> None:
        """Find the shards; raises UserError where there are none to be found.

        `trust` lets code be run that the folder names, where only the experiment tells something.
        """
        self.spec_file = spec_file(folder)
        try:
            spec = read_spec(folder)
        except FileNotFoundError:
            raise UserError(show(str(folder)), "the run has not begun", GO_ON) from None
        self.store, self.trust = Store(folder, spec), trust

    def rows(self, table: str) -> Iterator[Row]:
        """Return the rows of curves.csv or summary.csv as far as they are known."""
        head = self._headers[table]
        lines = chain([head], chain.from_iterable(self._parts(table)))
        return rows_of(self.store.shards, lines)

    @cached_property
    def _headers(self) -> dict[str, str]:
        if columns := self.store.spec.get("columns"):
            return {f"{name}.csv": header(columns[name]) for name in ("curves", "summary")}
        experiment = self.experiment
        metrics = experiment.grid.metrics
        return {
            "curves.csv": header(curve_columns(experiment, metrics)),
            "summary.csv": header(summary_columns(experiment, metrics)),
        }

    @cached_property
    def experiment(self) -> Experiment:
        """The experiment that the spec says; raises UserError where it does not."""
        return experiment_of(self.store.spec, str(self.spec_file), trust=self.trust)

    def _parts(self, table: str) -> Iterator[Iterable[str]]:
        for index in self.store.there(self.store.spec["batches"]):
            if shard := self.store.load(index):
                part = shard.curves if table == "curves.csv" else shard.summary
                yield split(_text(part, self.store.shards))


def _text(part: bytes, where: Path) -> str:
    try:
        return part.decode()
    except UnicodeDecodeError as error:
        raise UserError(str(where), f"byte {error.start} of a batch is not UTF-8", AGAIN) from None
