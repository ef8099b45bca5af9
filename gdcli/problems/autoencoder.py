"""Network that squeezes the rows of a table, or images, to a few numbers and restores them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge

from gdcli.datasets.images import Classified
from gdcli.datasets.split import FeatureScale
from gdcli.problem import Batch, Data, Network

if TYPE_CHECKING:
    import numpy as np
    from torch import nn


@dataclass(frozen=True)
class Autoencoder(Network, Classified):
    """The mean squared error of rows that pass through a narrow layer, the code.

    Hinton and Salakhutdinov, "Reducing the dimensionality of data with neural networks", Science
    2006. The decoder has the layers of the encoder in reverse order. Tanh follows every layer
    except the code and the output. The targets of the data set are not used.
    """

    scale: FeatureScale = "minmax"
    hidden: Annotated[
        tuple[int, ...],
        "widths of the layers before the code; the layers after it mirror them",
        Ge(1),
    ] = (32,)
    code: Annotated[int, "width of the code: how many numbers describe a row", Ge(1)] = 8

    criterion: ClassVar[str] = "mse"
    default_lr: ClassVar[float] = 1.0
    default_epochs: ClassVar[int] = 200

    def load(self, rng: np.random.Generator) -> Data:
        """Return the split set; the scaled rows are inputs and targets."""
        data = self.load_classes(rng)
        return replace(data, train=_repeated(data.train), test=_repeated(data.test))

    def module(self, data: Data) -> nn.Module:
        """Return encoder and decoder."""
        from torch import nn

        width = data.train["x"].shape[1]
        down = (width, *self.hidden, self.code)
        layers = list[nn.Module]()
        for widths in (down, down[::-1]):
            for narrow, wide in pairwise(widths):
                layers += [nn.Linear(narrow, wide), nn.Tanh()]
            layers.pop()
        return nn.Sequential(*layers)


def _repeated(part: Batch) -> Batch:
    return {"x": part["x"], "y": part["x"]} if part else part
