"""Where one verdict ends and the next begins, and what counts as the same.

It is all that a verdict needs to be imported: `gdcli show --help` lists the limits of all verdicts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Gt, Lt

SAME = 1e-9  # two learning rates this close, relatively, are the same
CLOSE = 0.01  # shares of right answers, or of a loss, this close are the same
SHARE_ROUNDING = 2e-7  # of a share of right answers in float32, less than one of a million examples
LINEAR = ("vanilla", "momentum", "nesterov")  # optimizers whose steps are sums of gradients
EQUAL_STEPS = ("sign-sgd", "lion")  # optimizers whose steps do not shrink with the gradient
STRETCHES = 16  # equal parts of the budget, each with a mean loss


@dataclass(frozen=True)
class Limits:
    """The limits that verdicts share: ratios, so that no unit matters."""

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
    steep: Annotated[
        float,
        "a gradient norm below this share of its largest counts as vanished",
        Gt(0),
        Lt(1),
    ] = 1e-3
