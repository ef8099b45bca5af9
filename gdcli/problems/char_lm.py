"""Character-level language model of Shakespeare's sonnets or a text file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge, Lt

from gdcli.datasets.bundled import read_text
from gdcli.errors import UserError
from gdcli.problem import Array, Batch, Data, Network

if TYPE_CHECKING:
    import numpy as np
    from torch import nn


@dataclass(frozen=True)
class CharLm(Network):
    """The next character's cross-entropy, given the ones before it (Bengio et al., JMLR 2003).

    Each of the last `context` characters becomes a few numbers, the same ones wherever it stands;
    a layer of tanh and a linear one make the odds of the next of them. The loss is in nats: a guess
    among n characters costs log n. The last part of the text is held out.
    """

    data: Annotated[Path | None, "text file in UTF-8, instead of the sonnets; or .gz"] = None
    examples: Annotated[int | None, "use the first so many training characters", Ge(1)] = None
    test_fraction: Annotated[float, "last part of the text, held out", Ge(0), Lt(1)] = 0.1
    context: Annotated[int, "characters that are seen before the next", Ge(1)] = 8
    embedding: Annotated[int, "numbers that a character becomes", Ge(1)] = 8
    hidden: Annotated[int, "width of the hidden layer", Ge(1)] = 64

    default_lr: ClassVar[float] = 1.0
    default_epochs: ClassVar[int] = 200

    def load(self, rng: np.random.Generator) -> Data:
        """Return windows of characters, (examples, context), and the next, (examples,): int64.

        Raises UserError for a text that is too short.
        """
        places = read_text(self.data).places
        windows = len(places) - self.context
        held_out = round(max(windows, 0) * self.test_fraction)
        train = windows - held_out
        if train < (self.examples or 1):
            what = f"the text of {len(places)} characters has {max(train, 0)} windows to train on"
            raise UserError("--data" if self.data else "--examples", what, "give a longer text")
        count = self.examples or train
        test = _windows(places[train:], self.context) if held_out else {}
        return Data(_windows(places[: count + self.context], self.context), test)

    def module(self, data: Data) -> nn.Module:
        """Return the embedding, the hidden layer and the outputs."""
        from torch import nn

        characters = len(read_text(self.data).characters)
        return nn.Sequential(
            nn.Embedding(characters, self.embedding),
            nn.Flatten(),
            nn.Linear(self.context * self.embedding, self.hidden),
            nn.Tanh(),
            nn.Linear(self.hidden, characters),
        )


def _windows(places: Array, context: int) -> Batch:
    """Return every run of characters and the one that follows."""
    import numpy as np

    windows = np.lib.stride_tricks.sliding_window_view(places, context + 1)
    return {"x": windows[:, :-1].copy(), "y": windows[:, -1].copy()}
