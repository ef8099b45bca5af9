"""A loss as a user would write it: an MLP on digits in plain PyTorch, for one trial."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import torch

from gdcli.datasets.tabular import read_named
from gdcli.problem import Array, Batch, Data, Params, Problem

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class OwnLoss(Problem):
    """One hidden layer of ReLU, and cross-entropy."""

    hidden: int = 64

    def load(self, rng: np.random.Generator) -> Data:
        """Return all digits as training examples."""
        x, y = read_named("digits")
        return Data({"x": x / 16, "y": y.astype("int64")})

    def init(self, rng: np.random.Generator, data: Data) -> Params:
        """Return normal weights, scaled by the width of what comes in, and zero biases."""
        sizes = (data.train["x"].shape[1], self.hidden, 10)
        params: Params = {}
        for i, (wide, narrow) in enumerate(pairwise(sizes), start=1):
            params[f"weight{i}"] = rng.standard_normal((narrow, wide)) / wide**0.5
            params[f"bias{i}"] = 0.0 * params[f"weight{i}"][:, 0]
        return params

    def loss(self, params: Params, batch: Batch) -> Array:
        """Return the mean cross-entropy."""
        hidden = torch.relu(batch["x"] @ params["weight1"].T + params["bias1"])
        z = hidden @ params["weight2"].T + params["bias2"]
        return torch.nn.functional.cross_entropy(z, batch["y"])
