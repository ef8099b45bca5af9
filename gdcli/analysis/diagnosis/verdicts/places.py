"""Where a trial came to rest: at a minimum, at a saddle, or where its gradient is 0."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gdcli.analysis.diagnosis.verdict import TrialQuality, number
from gdcli.numbers import percent

if TYPE_CHECKING:
    from gdcli.analysis.diagnosis.case import Case


class Dead(TrialQuality):
    """A network's gradient vanished at chance level, or at its starting point."""

    word = "dead"
    order = 20
    alone = True
    final = True

    def holds(self, case: Case) -> bool:
        """Return whether the gradient vanished at chance level, or where it started."""
        if not case.known.network or case.ended_wild or case.at_least:
            return False
        vanished = case.slope is not None and case.slope <= case.limits.steep
        return vanished and (case.unmoved or case.at_chance)

    def phrase(self, case: Case) -> str:
        """Return where it died, and how many of its units are 0."""
        share = case.observed.dead_units
        units = f"; {percent(share)} of its ReLU units are 0 for all examples" if share else ""
        if case.observed.largest_grad_norm == 0:
            return f"is dead: its gradient is 0 from the start on{units}"
        return f"is dead: its gradient vanished at a loss of {number(case.level)}{units}"

    def advice(self, case: Case) -> str:
        """Return what to change."""
        if case.observed.largest_grad_norm == 0:
            return "No learning rate helps: try another seed, initialisation or activation."
        return "Use a smaller learning rate, another seed or another activation."


class AtASaddle(TrialQuality):
    """The gradient vanished, and the smallest eigenvalue of the Hessian there is negative."""

    word = "at a saddle"
    order = 30
    final = True

    def holds(self, case: Case) -> bool:
        """Return whether the smallest eigenvalue of the Hessian is negative there."""
        return not case.ended_wild and case.curved_down and not case.at_least

    def phrase(self, case: Case) -> str:
        """Return what is known of the point and its curvature."""
        at, sharpness = "a saddle", case.observed.final_sharpness
        if sharpness is None:
            at = "a saddle or maximum"
        elif sharpness <= 0:
            at = "a maximum"
        lowest = number(case.observed.lowest_curvature)
        where = f"the loss curves down there (smallest curvature {lowest})"
        return f"is at {at}: its gradient vanished, but {where}"

    def advice(self, case: Case) -> str:
        """Return what to change."""
        return "Start somewhere else: give another start or another seed."


class AtTheMinimum(TrialQuality):
    """The loss is close to the least possible loss, or at a local minimum.

    The gap to the known least loss is at most 0.1% of the fall (`--near`) and 1% of the loss, or
    at most 0.001% of the fall. Or the gradient vanished below the start, where the loss clearly
    curves up; or it vanished faster than it does at any flat point.
    """

    word = "at the minimum"
    order = 40
    says_it_rests = True
    good = True
    final = True

    def holds(self, case: Case) -> bool:
        """Return whether the loss is at its least, or its gradient vanished where it curves up."""
        local = case.at_local and not case.bouncing
        return not case.ended_wild and (case.at_least or local)

    def phrase(self, case: Case) -> str:
        """Return the loss beside the least one, or what the gradient says."""
        if case.gap is not None:
            here, least = number(case.level), number(case.known.minimum)
            if not case.known.attained:
                return f"is done: its loss is {here} and tends to {least}, which no weights reach"
            left = f"; {percent(case.left)} of its fall is left" if case.left else ""
            at = "near" if case.falls_on else "at"
            return f"is {at} the minimum: loss {here}, the least possible is {least}{left}"
        if case.at_least:
            bound = number(case.known.bound)
            return f"is at the minimum: loss {number(case.level)}, and no loss is below {bound}"
        slope = f"{percent(case.slope)} of its largest" if case.slope else "0"
        found = "the loss curves down in no direction that was measured"
        return f"is at a minimum: its gradient is {slope}, and {found}"


class NeverMoved(TrialQuality):
    """The gradient is 0 at the start."""

    word = "never moved"
    order = 50
    alone = True
    final = True

    def holds(self, case: Case) -> bool:
        """Return whether no gradient was larger than 0."""
        still = case.observed.largest_grad_norm == 0
        return not case.known.network and still and not case.at_least

    def phrase(self, case: Case) -> str:
        """Return why."""
        return "never moves: its gradient is 0 at the start"

    def advice(self, case: Case) -> str:
        """Return what to change."""
        return "Start somewhere else."
