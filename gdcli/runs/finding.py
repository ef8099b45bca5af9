"""What a check of a run found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Result: TypeAlias = Literal["ok", "same", "skipped", "not done", "damaged", "missing", "different"]
SOUND = ("ok", "same", "skipped", "not done")


@dataclass(frozen=True)
class Difference:
    """The first place at which two runs differ in a trial."""

    table: str  # curves.csv or summary.csv
    trial: str
    step: str  # of the point in curves.csv, else empty
    column: str
    recorded: str
    found: str

    def __str__(self) -> str:
        """Return the place and both values."""
        step = f", step {self.step}" if self.step else ""
        values = f"{self.recorded or 'nothing'} recorded, {self.found or 'nothing'} found"
        return f"{self.table}: trial {self.trial}{step}, {self.column}: {values}"


@dataclass(frozen=True)
class Finding:
    """One check, its result and what was seen."""

    check: str
    result: Result
    detail: str
    difference: Difference | None = None

    @property
    def sound(self) -> bool:
        """Whether nothing speaks against the run."""
        return self.result in SOUND

    @property
    def done(self) -> bool:
        """Whether what was asked was done."""
        return self.result != "not done"
