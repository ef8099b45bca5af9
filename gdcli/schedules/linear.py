"""Linear decay: a straight line from the learning rate down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, TypeAlias

from annotated_types import Ge, Le

from gdcli.schedule import Schedule

Final: TypeAlias = Annotated[
    float, "multiplier of the learning rate at the end of the run", Ge(0), Le(1)
]


@dataclass(frozen=True)
class Linear(Schedule):
    """1 - (1 - final) * step / horizon: from 1 to `final`, which is the value after the run."""

    final: Final = 0.0

    def multiplier(self, step: int, horizon: int) -> float:
        """Return the value of the line at this share of the run."""
        return 1 - (1 - self.final) * (step / horizon)
