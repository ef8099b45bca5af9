"""A finished run as its folder records it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from gdcli import experiment_file
from gdcli.experiment import Experiment
from gdcli.runs.lines import Table, read_table


@dataclass(frozen=True)
class Recorded:
    """A run's folder and its manifest; the rest is read when it is asked for."""

    folder: Path
    manifest: Mapping[str, Any]

    @cached_property
    def experiment(self) -> Experiment:
        """The experiment that the folder's own file says; raises UserError naming its mistake."""
        return experiment_file.load(self.folder / "experiment.toml")

    @property
    def engine(self) -> str:
        """The engine that computed it."""
        asked: str = self.manifest["engine"]["asked"]
        return asked

    @cached_property
    def curves(self) -> Table:
        """The recorded points."""
        return read_table(self.folder / "curves.csv")

    @cached_property
    def summary(self) -> Table:
        """How the trials ended."""
        return read_table(self.folder / "summary.csv")

    @property
    def tables(self) -> tuple[Table, Table]:
        """Both tables."""
        return self.curves, self.summary
