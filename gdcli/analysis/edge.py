"""How near full-batch descent ended to the edge of stability (Cohen et al., ICLR 2021)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from gdcli.analysis.why import Account

NEAR = 0.9, 1.25  # sharpness over that at the edge: it swings around 1, a little above


class Edge(NamedTuple):
    """The sharpness of a setting at a learning rate, medians over its trials."""

    start: float
    end: float  # the mean of the last quarter of the recorded points
    edge: float  # up to which steps at this rate are stable, were the loss quadratic

    @property
    def place(self) -> Literal["below", "at", "above"]:
        """Where the end is."""
        least, most = NEAR
        share = self.end / self.edge
        return "below" if share < least else "at" if share <= most else "above"


def edge_of(account: Account) -> Edge | None:
    """Return where a setting is; None where its sharpness was not measured or has no edge.

    Of trials that diverged nothing is said: sharpness at one point is no proof of why.
    """
    expected = account.expected
    if expected is None or not expected.edge or account.state in ("blew up", "failed"):
        return None
    start, end = account.fact("initial_sharpness"), account.sharpness
    return None if start is None or end is None else Edge(start, end, expected.edge)
