"""Language models of random tokens: a GRU, or attention to what came before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import torch
from annotated_types import Ge
from torch import Tensor, nn

from gdcli.problem import Data, Network

if TYPE_CHECKING:
    import numpy as np

TOKENS = 100


class Recurrent(nn.Module):
    """Embedding, GRU, and a linear layer at every place."""

    def __init__(self, width: int) -> None:
        """Make the layers."""
        super().__init__()
        self.embedding = nn.Embedding(TOKENS, width)
        self.recurrent = nn.GRU(width, width, batch_first=True)
        self.linear = nn.Linear(width, TOKENS)

    def forward(self, x: Tensor) -> Tensor:
        """Return a number for each token, (examples, places, tokens)."""
        outputs: Tensor = self.linear(self.recurrent(self.embedding(x))[0])
        return outputs


class Attending(nn.Module):
    """Embedding, two layers of a transformer, and a linear layer at every place."""

    def __init__(self, width: int) -> None:
        """Make the layers."""
        super().__init__()
        self.embedding = nn.Embedding(TOKENS, width)
        kind = {"dropout": 0.0, "batch_first": True}
        layer = nn.TransformerEncoderLayer(width, 4, 4 * width, **kind)  # type: ignore[arg-type]
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.linear = nn.Linear(width, TOKENS)

    def forward(self, x: Tensor) -> Tensor:
        """Return a number for each token, (examples, tokens, places)."""
        later = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1)
        outputs: Tensor = self.linear(self.layers(self.embedding(x), mask=later))
        return outputs.mT


@dataclass(frozen=True)
class Language(Network):
    """The next token at every place."""

    kind: Annotated[Literal["gru", "attention"], "what looks back"] = "gru"
    examples: Annotated[int, "training examples", Ge(2)] = 2000
    places: Annotated[int, "tokens of an example", Ge(1)] = 64
    width: Annotated[int, "of an embedding", Ge(1)] = 64

    def load(self, rng: np.random.Generator) -> Data:
        """Return tokens, and those that follow them."""
        tokens = rng.integers(0, TOKENS, (self.examples, self.places + 1))
        return Data({"x": tokens[:, :-1], "y": tokens[:, 1:]})

    def module(self, data: Data) -> nn.Module:
        """Return the layers."""
        return Recurrent(self.width) if self.kind == "gru" else Attending(self.width)
