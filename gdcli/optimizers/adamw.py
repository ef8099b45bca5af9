"""AdamW: Adam with decoupled weight decay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, TypeAlias

from annotated_types import Ge

from gdcli.optimizer import WEIGHT_DECAY
from gdcli.optimizers.adam import Adam

WeightDecay: TypeAlias = Annotated[float, WEIGHT_DECAY, Ge(0)]


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam's direction plus weight_decay * param (Loshchilov and Hutter 2019, algorithm 2).

    The learning rate of 1e-3 is the paper's.
    """

    weight_decay: WeightDecay = 0.01

    decoupled: ClassVar[bool] = True
