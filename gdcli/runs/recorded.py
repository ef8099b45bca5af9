"""A finished run as its folder records it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from gdcli.door import REPAIR
from gdcli.errors import UserError
from gdcli.experiment.experiment import Experiment
from gdcli.runs import manifest
from gdcli.runs.lines import Table, read_table


@dataclass(frozen=True)
class Recorded:
    """A run's folder and its manifest; the rest is read when it is asked for."""

    folder: Path
    manifest: Mapping[str, Any]
    engine: str
    trust: bool  # code that the folder names may be run

    @classmethod
    def read(cls, folder: Path, *, trust: bool) -> Recorded:
        """Return the run of a folder; raises UserError where its manifest does not say enough."""
        content = manifest.read(folder)
        if "engine" not in content:
            where = str(folder / "manifest.json")
            raise UserError(where, "it does not say which engine ran", REPAIR)
        return cls(folder, content, content["engine"]["asked"], trust)

    @cached_property
    def experiment(self) -> Experiment:
        """The experiment that the folder's own file says; raises UserError naming its mistake."""
        return manifest.experiment_of(self.folder, self.manifest, trust=self.trust)

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
