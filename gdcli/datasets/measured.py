"""Examples with a measurement to predict: a named set, a synthetic one, or a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge

from gdcli.datasets.split import prepare
from gdcli.datasets.streamable import Streamable
from gdcli.problem import Array, Data

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Measured(Streamable):
    """The options of a problem that predicts a measurement, and the reading of its examples."""

    dataset: Annotated[Literal["diabetes", "synthetic"], "named data set"] = "diabetes"
    examples: Annotated[int, "examples of the synthetic set", Ge(1)] = 1000
    features: Annotated[int, "features of the synthetic set", Ge(1)] = 10
    noise: Annotated[float, "standard deviation of the synthetic targets' noise", Ge(0)] = 0.1

    def load_measurements(self, rng: np.random.Generator) -> Data:
        """Return the split set: features, scaled, and targets as they are, (examples, 1)."""
        drawn = self.dataset == "synthetic" and self.data is None
        x, y = self._draw(rng) if drawn else self.measured()
        return prepare(x, y[:, None], self.test_fraction, self.scale, rng)

    def _draw(self, rng: np.random.Generator) -> tuple[Array, Array]:
        x = rng.standard_normal((self.examples, self.features))
        weight = rng.standard_normal(self.features)
        return x, x @ weight + self.noise * rng.standard_normal(self.examples)
