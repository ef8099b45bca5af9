"""Where one verdict ends and the next begins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Gt, Lt


@dataclass(frozen=True)
class Limits:
    """Ratios, so that no unit matters."""

    near: Annotated[
        float, "gap to the least loss, as a share of the fall so far, that counts as none", Gt(0)
    ] = 1e-3
    flat: Annotated[
        float,
        "fall expected of ten times as many steps, as a share of the fall so far, that is none",
        Gt(0),
    ] = 1e-3
    swing: Annotated[
        float, "size of late swings, as a share of the fall so far, that counts as bouncing", Gt(0)
    ] = 1e-2
    sure: Annotated[
        float, "standard errors that make a fall of sgd and minibatch more than noise", Gt(0)
    ] = 3.0
    worse: Annotated[
        float,
        "rise of the test loss above its lowest, as a share of it, that is overfitting",
        Gt(0),
    ] = 0.1
    steep: Annotated[
        float,
        "gradient norm, as a share of its largest, below which it counts as vanished",
        Gt(0),
        Lt(1),
    ] = 1e-3
