"""Network that predicts the next character of Shakespeare's sonnets or of a text file."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge, Lt

from gdcli.datasets.contents import read_contents
from gdcli.errors import UserError
from gdcli.fields import show
from gdcli.problem import Array, Batch, Data, Network

if TYPE_CHECKING:
    import numpy as np
    from torch import nn


@dataclass(frozen=True)
class CharLm(Network):
    """The cross-entropy of the next character, given the characters before it.

    Bengio et al., JMLR 2003. An embedding turns each of the last `context` characters into a few
    numbers. A tanh layer and a linear layer then predict the next character. The loss is in nats:
    a uniform guess among n characters costs log n. The last part of the text is held out.
    """

    data: Annotated[Path | None, "text file in UTF-8, or .gz, to use instead of the sonnets"] = None
    examples: Annotated[
        int | None, "use only this many characters of the training part, from its start", Ge(1)
    ] = None
    test_fraction: Annotated[
        float, "share of the text, at its end, that is held out for testing", Ge(0), Lt(1)
    ] = 0.1
    context: Annotated[
        int, "characters that the network sees before the one that it predicts", Ge(1)
    ] = 8
    embedding: Annotated[int, "numbers that each character is turned into", Ge(1)] = 8
    hidden: Annotated[int, "width of the hidden layer", Ge(1)] = 64

    default_lr: ClassVar[float] = 1.0
    default_epochs: ClassVar[int] = 200

    def load(self, rng: np.random.Generator) -> Data:
        """Return windows, (examples, context), and next characters, (examples,), both int64.

        Raises UserError if the text is too short.
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
    """Return every window of characters and the character that follows it."""
    import numpy as np

    windows = np.lib.stride_tricks.sliding_window_view(places, context + 1)
    return {"x": windows[:, :-1].copy(), "y": windows[:, -1].copy()}


MOST_CHARACTERS = 1000  # different characters: more are not an alphabet


@dataclass(frozen=True)
class Text:
    """A text and its alphabet."""

    characters: str  # distinct characters, in order
    places: Array  # (length,) int64: the index of each character of the text in `characters`


def read_text(file: Path | None) -> Text:
    """Return a UTF-8 text; without a file, the sonnets in the package.

    Raises UserError if the file cannot be read, is not UTF-8, or has too many characters.
    """
    import numpy as np

    if file is None:
        content = gzip.decompress(
            (Path(__file__).parents[1] / "datasets" / "sonnets.txt.gz").read_bytes()
        )
    else:
        content = read_contents(file, "--data")
    try:
        text = content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = 1 + content.count(b"\n", 0, error.start)
        what = f"the byte 0x{content[error.start]:02x} is not UTF-8"
        raise UserError(f"{file}:{line}", what, "save the file as UTF-8") from None
    characters = "".join(sorted(set(text)))
    if not 2 <= len(characters) <= MOST_CHARACTERS:
        what = f"{show(str(file))} has {len(characters)} different characters"
        raise UserError("--data", what, f"give a text with 2 to {MOST_CHARACTERS} different ones")
    codes = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    places = np.searchsorted(np.array([ord(c) for c in characters]), codes)
    return Text(characters, places.astype(np.int64))
