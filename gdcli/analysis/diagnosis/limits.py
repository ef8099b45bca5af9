"""Where one verdict ends and the next begins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Gt, Lt


@dataclass(frozen=True)
class Limits:
    """Ratios, so that no unit matters."""

    near: Annotated[
        float, "a gap to the least loss below this share of the fall so far counts as none", Gt(0)
    ] = 1e-3
    flat: Annotated[
        float,
        "a loss that would fall by less than this share of its fall so far in ten times as many "
        "steps counts as flat",
        Gt(0),
    ] = 1e-3
    swing: Annotated[
        float, "late swings larger than this share of the fall so far count as bouncing", Gt(0)
    ] = 1e-2
    sure: Annotated[
        float, "standard errors by which a fall of sgd or minibatch must exceed its noise", Gt(0)
    ] = 3.0
    worse: Annotated[
        float,
        "a test loss that ends above its lowest by more than this share counts as overfitting",
        Gt(0),
    ] = 0.1
    steep: Annotated[
        float,
        "a gradient norm below this share of its largest counts as vanished",
        Gt(0),
        Lt(1),
    ] = 1e-3
