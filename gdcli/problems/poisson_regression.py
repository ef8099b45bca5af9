"""Predict counts: synthetic, or a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from annotated_types import Ge

from gdcli.arrays import namespace
from gdcli.datasets.split import prepare
from gdcli.datasets.tabular import Streamable
from gdcli.errors import UserError
from gdcli.fields import show
from gdcli.problem import Array, Data, LinearModel

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class PoissonRegression(LinearModel, Streamable):
    """The mean of exp(z) - y z: the negative log-likelihood of Poisson counts with mean exp(z).

    Terms that depend on y only are left out. Nelder and Wedderburn 1972. The curvature exp(z) has
    no bound, so a learning rate that is stable at the start may become unstable. In the synthetic
    set features are normal, and the logarithm of the mean count is linear in them.
    """

    dataset: Annotated[Literal["synthetic"], "data set to train on"] = "synthetic"
    examples: Annotated[int, "examples of the synthetic data set", Ge(1)] = 1000
    features: Annotated[int, "features of the synthetic data set", Ge(1)] = 5

    default_lr: ClassVar[float] = 0.1
    default_epochs: ClassVar[int] = 100

    @property
    def convex(self) -> bool:
        """True."""
        return True

    def load(self, rng: np.random.Generator) -> Data:
        """Return the split set: scaled features, and counts, (examples, 1).

        Raises UserError for a negative target.
        """
        x, y = self._draw(rng) if self.data is None else self.measured()
        if y.min() < 0:
            what = f"column {show(self.predicted)} holds {y.min():g}, but counts are at least 0"
            raise UserError("--target", what, "choose a column of counts, or run linear-regression")
        return prepare(x, y[:, None], self.test_fraction, self.scale, rng)

    def _draw(self, rng: np.random.Generator) -> tuple[Array, Array]:
        import numpy as np

        x = rng.standard_normal((self.examples, self.features))
        # The log mean has standard deviation 1/2 for any number of features.
        weight = 0.5 * rng.standard_normal(self.features) / self.features**0.5
        return x, rng.poisson(np.exp(1.0 + x @ weight)).astype(float)

    def cost(self, z: Array, y: Array) -> Array:
        """Return exp(z) - y z."""
        return namespace(z).exp(z) - y * z

    def slope(self, z: Array, y: Array) -> Array:
        """Return the predicted mean minus the count."""
        return namespace(z).exp(z) - y

    def bending(self, z: Array, y: Array, along: Array) -> Array:
        """Return the predicted mean times the direction."""
        return namespace(z).exp(z) * along
