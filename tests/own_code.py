"""Problems, optimizers and schedules as users write them, each a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

BOWL = '''"""A bowl of one's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from annotated_types import Gt

from gdcli.problem import Analytic, Array, Batch, Data, Params

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class MyBowl(Analytic):
    """Half of the stiffness times the squared distance to 0."""

    stiffness: Annotated[float, "how steep it is", Gt(0)] = 2.0

    def init(self, rng: np.random.Generator, data: Data) -> Params:
        return {"point": rng.standard_normal(3)}

    def value(self, point: Array, batch: Batch) -> Array:
        return 0.5 * self.stiffness * (point * point).sum(-2)

    def gradient(self, point: Array, batch: Batch) -> Array:
        return self.stiffness * point
'''
RULE = '''"""Descent by a share of the gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from gdcli.optimizer import Optimizer, State
from gdcli.problem import Array


@dataclass(frozen=True)
class MyRule(Optimizer):
    """param -= lr * share * grad."""

    share: Annotated[float, "share of the gradient"] = 0.5

    def update(self, grad: Array, state: State, param: Array, step: int) -> tuple[Array, State]:
        return self.share * grad, state
'''
SCHEDULE = '''"""The rate halves every few steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from gdcli.schedule import Schedule


@dataclass(frozen=True)
class Halving(Schedule):
    """0.5 ** (step // every)."""

    every: Annotated[int, "steps between two halvings"] = 2

    def multiplier(self, step: int, horizon: int) -> float:
        return 0.5 ** (step // self.every)
'''
NET = '''"""A network of one's own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import nn

from gdcli.problem import Data, Network


@dataclass(frozen=True)
class MyNet(Network):
    """Two classes of points, and a layer between two linear ones."""

    def load(self, rng: np.random.Generator) -> Data:
        x = rng.standard_normal((40, 3))
        return Data({{"x": x, "y": (x[:, 0] * x[:, 1] > 0).astype(np.int64)}})

    def module(self, data: Data) -> nn.Module:
        return nn.Sequential(nn.Linear(3, 4), {layer}, nn.Linear(4, 2))
'''
CHOOSING = """

class Choosing(nn.Module):
    def forward(self, x):
        return x.relu() if x.sum() > 0 else x.tanh()
"""
MARKED = "from pathlib import Path\nPath('ran').touch()\n"  # tells that a file was run


def write(folder: Path, name: str, text: str, *, marked: bool = False) -> Path:
    """Write a file; one that is `marked` tells, in the working directory, that it was run."""
    file = folder / name
    future = "from __future__ import annotations\n"
    text = text.replace(future, future + MARKED, 1) if marked else text
    file.write_text(text, encoding="utf-8")
    return file
