"""Where a loss goes: it swings, falls or is flat, or there are too few points to tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gdcli.analysis.diagnosis.verdict import EQUAL_STEPS, SAME, TrialState, limit_in_words, number
from gdcli.numbers import percent

if TYPE_CHECKING:
    from gdcli.analysis.diagnosis.case import Case


EQUAL_STEPS_ADVICE = (
    "Its steps have a fixed size: use a smaller learning rate or a schedule that ends at 0."
)
UNHURRIED_ADVICE = (
    "Use a far larger learning rate: its loss has hardly moved, and its gradient has not shrunk."
)
LAGGING_ADVICE = (
    "Give it more epochs, or average fewer steps: this is the loss of the average, and"
    " raw_train_loss that of the parameters."
)
NEVER_MIND = 10  # times the fall: a swing so wide is not measured by it
TOO_FAR = -0.5  # cosine of two gradients between which a step went too far
NEAR_LIMIT = 0.9  # of the exact limit: a larger rate is hardly worth a try


class Bouncing(TrialState):
    """The learning rate is too large for the loss to settle.

    It is at or above an exact limit of theory, such as 2/L. Or the last steps go straight back,
    or swing by more than 1% of the fall (`--swing`), and the loss no longer falls.
    """

    word = "bouncing"
    order = 30
    sign, color = "~", "magenta"
    swings = True
    smaller_rate = True

    def holds(self, case: Case) -> bool:
        """Return whether theory says so, or the last steps show it."""
        return case.bouncing

    def phrase(self, case: Case) -> str:
        """Return what shows it."""
        ratio = case.over_limit
        if ratio is not None and ratio > 1 + SAME:
            return f"diverges in the end: its learning rate is above {limit_in_words(case)}"
        if ratio is not None and ratio >= 1 - SAME:
            return f"bounces to and fro for ever: its learning rate is at {limit_in_words(case)}"
        if case.straight_back:
            return "bounces to and fro: each step goes straight back over a minimum"
        wide = max(case.observed.late_swing or 0.0, case.observed.largest_late_rise or 0.0)
        if wide <= NEVER_MIND * case.fall:
            share = percent(wide / case.fall)
            return f"bounces: its loss still swings by {number(wide)}, {share} of its fall"
        return f"bounces: its loss still swings by {number(wide)}"

    def advice(self, case: Case) -> str:
        """Return which learning rate or momentum to use."""
        known, rate = case.known, case.descent.lr
        if case.over_limit is not None and known.limit is not None:
            return f"Use a learning rate below {number(known.limit)}."
        if case.descent.optimizer in EQUAL_STEPS:
            return EQUAL_STEPS_ADVICE
        if case.descent.beta and not case.straight_back:
            beta = number(case.descent.beta)
            return f"Use a smaller beta than {beta}, or a smaller learning rate."
        return f"Use a smaller learning rate, such as {number(rate / 2)}, or a schedule."


class TooFewPoints(TrialState):
    """The engine watched fewer than seven points."""

    word = "too few points to tell"
    order = 40
    sign = "?"

    def holds(self, case: Case) -> bool:
        """Return whether fewer points were watched than a trend needs."""
        return not case.enough

    def phrase(self, case: Case) -> str:
        """Return how many points there are."""
        points = case.observed.watched
        if points is None:
            return "cannot be judged: an earlier version wrote its summary.csv, without the facts"
        return f"has {points:.0f} point{'' if points == 1 else 's'}, too few to tell"

    def advice(self, case: Case) -> str:
        """Return how to get more points."""
        return "Run it again." if case.observed.watched is None else "Give it more epochs."


class StillFalling(TrialState):
    """The loss would fall further in ten times as many steps.

    It would fall by at least 0.1% of its fall so far (`--flat`) or, if the least possible loss is
    known, by a tenth of the gap to it.
    """

    word = "still falling"
    order = 50
    sign, color = "v", "yellow"
    falls = True

    def holds(self, case: Case) -> bool:
        """Return whether the loss falls by more than noise, and by what matters."""
        return case.falls_on

    def phrase(self, case: Case) -> str:
        """Return what the loss does."""
        return "still falls"

    def advice(self, case: Case) -> str:
        """Return which learning rate to try instead of more epochs."""
        if case.averaged:
            return LAGGING_ADVICE
        if _overshoots(case):
            return "Give it more epochs, or try a smaller learning rate: its steps go too far."
        return "Give it more epochs, or try a larger learning rate."


def _overshoots(case: Case) -> bool:
    """Return whether the last step went too far: a larger learning rate would be worse."""
    turn, near = case.observed.gradient_turn, case.over_limit
    return bool(
        (turn is not None and turn < TOO_FAR)
        or case.observed.late_rises
        or (near is not None and near > NEAR_LIMIT)
    )


class Flat(TrialState):
    """None of the other states holds."""

    word = "flat"
    order = 1000
    rests = True

    def holds(self, case: Case) -> bool:
        """Return True: another state would have held before."""
        return True

    def phrase(self, case: Case) -> str:
        """Return what the loss is."""
        return "is flat"

    def advice(self, case: Case) -> str:
        """Return what to try for a lower loss."""
        if case.descent.optimizer in EQUAL_STEPS and case.descent.steady:
            return EQUAL_STEPS_ADVICE
        if case.unhurried:
            return LAGGING_ADVICE if case.averaged else UNHURRIED_ADVICE
        if case.gap is not None and not case.at_least:
            least = number(case.known.minimum)
            return f"Lower losses are possible, down to {least}: try other learning rates."
        others = "" if case.known.convex else " and seeds" if case.known.network else " and starts"
        return f"Try other learning rates{others} to see whether a lower loss exists."
