"""What a loss does: every state, and the qualities of a loss beside its start and its goal."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

from gdcli.analysis.diagnosis.verdict import (
    EQUAL_STEPS,
    LINEAR,
    SAME,
    TrialQuality,
    TrialState,
    limit_in_words,
    number,
    steps_in_words,
)
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
MORE_OR_LARGER = "Give it more epochs, or try a larger learning rate."
NEVER_MIND = 10  # times the fall: a swing so wide is not measured by it
TOO_FAR = -0.5  # cosine of two gradients between which a step went too far
NEAR_LIMIT = 0.9  # of the exact limit: a larger rate is hardly worth a try
UNDEFINED_ADVICE = (
    "Its loss had not risen: check whether the loss and its gradient are defined everywhere, unlike"
    " the logarithm of a negative number."
)
AT_START_ADVICE = (
    "No step was taken, so no learning rate helps: check the start, and the examples for values "
    "that are NaN, infinite or huge."
)
AT_ONCE = 2  # steps: a rate that blows up by then is far too large
CAUSES = {
    "nan": "its loss or a weight became NaN",
    "overflow": "its loss or a weight overflowed",
    "growth": "its loss grew past the limit of --diverge-at",
}


class Bouncing(TrialState):
    """The learning rate is too large for the loss to settle.

    It is at or above an exact limit of theory, such as 2/L. Or the last steps go straight back,
    or swing by more than 1% of the fall (`--swing`), and the loss no longer falls. Or the mean loss
    of `sgd` or `minibatch` rises again by more than 20% of the fall.
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
        if case.rises:
            lowest, last = number(min(case.levels)), number(case.levels[-1])
            return f"rises again: from {lowest} to {last} on average"
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
        return MORE_OR_LARGER


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
            plain = case.descent.stochastic or case.descent.optimizer in LINEAR
            slow = case.averaged or case.calms or not plain
            begin = "give it more epochs, or " if slow else ""  # its steps may grow again
            return f"Lower losses are possible, down to {least}: {begin}try other learning rates."
        others = "" if case.known.convex else " and seeds" if case.known.network else " and starts"
        return f"Try other learning rates{others} to see whether a lower loss exists."


class BlewUp(TrialState):
    """The loss left its bounds, or ends far above its start.

    It exceeded the bound of `--diverge-at`, overflowed or became NaN. Or it stays above its
    start, and its rise is larger than the loss at the start and than the gap between the start
    and the least possible loss.
    """

    word = "blew up"
    order = 10
    sign, color = "x", "red"
    lost = True
    smaller_rate = True

    def holds(self, case: Case) -> bool:
        """Return whether the trial diverged, or its loss rose by more than its height."""
        if case.observed.status == "diverged" or not isfinite(case.level):
            return True
        if case.observed.above_start_from is None:
            return False
        height = max(abs(case.start), case.start - (case.least or 0.0))
        return case.level - case.start > max(height, 1e-9 * abs(case.start))

    def phrase(self, case: Case) -> str:
        """Return when and how, and where its learning rate is beside the limit."""
        seen = case.observed
        if seen.status != "diverged" and isfinite(case.level):
            since = f"from about step {number(seen.above_start_from)} on"
            losses = f"it starts at {number(case.start)} and ends at {case.end_in_words}"
            return f"blew up: {since} its loss is above its start; {losses}{_beside_limit(case)}"
        cause = CAUSES.get(seen.diverged_by, "its loss left every bound")
        if _fell_without_end(case):
            cause = "its loss fell below every bound"
        return f"blew up {_when(case)}: {cause}{_beside_limit(case)}"

    def advice(self, case: Case) -> str:
        """Return which learning rate to try, or what else to look at."""
        known, rate = case.known, case.descent.lr
        if case.observed.diverged_at == 0:
            return AT_START_ADVICE
        if known.limit is not None and rate >= known.limit:
            return f"Use a learning rate below {number(known.limit)}."
        if known.scaled is False:
            far = f"use a far smaller learning rate than {number(rate)}"
            return f"Standardise the features, or {far}."
        if _undefined(case):
            return UNDEFINED_ADVICE
        if case.observed.diverged_at is not None and case.observed.diverged_at <= AT_ONCE:
            return f"Use a far smaller learning rate than {number(rate)}."
        return f"Use a smaller learning rate, such as {number(rate / 10)}."


def _when(case: Case) -> str:
    after, at = case.observed.diverged_after, case.observed.diverged_at
    if at is None:
        return "before its end"
    if after is None or at - after <= 1:
        return f"at step {at:.0f}"
    return f"between steps {after:.0f} and {at:.0f}"


def _beside_limit(case: Case) -> str:
    ratio, known, rate = case.over_limit, case.known, number(case.descent.lr)
    if known.limit is not None and not known.limit_exact and case.descent.lr > known.limit:
        return f"; in theory rates up to {number(known.limit)} are safe, and {rate} is larger"
    if ratio is None or ratio < 1 - SAME:
        return ""
    where = "above" if ratio > 1 + SAME else "at"
    return f"; its learning rate {rate} is {where} {limit_in_words(case)}"


def _undefined(case: Case) -> bool:
    """Return whether a function became NaN though no loss was above its start."""
    seen = case.observed
    low, high = seen.lowest_train_loss, seen.highest_train_loss
    if case.known.network or seen.diverged_by != "nan" or low is None or high is None:
        return False
    return low < case.start and high <= case.start


def _fell_without_end(case: Case) -> bool:
    """Return whether a loss that left its bounds did so downwards."""
    seen = case.observed
    if seen.status != "diverged" or seen.diverged_by == "nan":
        return False
    last = seen.final_train_loss
    return last is not None and last < min(case.start, 0.0)


class UnboundedBelow(TrialQuality):
    """The loss left its bounds downwards."""

    word = "unbounded below"
    order = 10
    of_lost = True

    def holds(self, case: Case) -> bool:
        """Return whether the loss left its bounds downwards."""
        return _fell_without_end(case)

    def phrase(self, case: Case) -> str:
        """Return what that means."""
        return "falls without end: the loss has no minimum, and the learning rate is not at fault"

    def advice(self, case: Case) -> str:
        """Return where to look."""
        return "Look at the loss: it has no least value."


class ReachedItsGoal(TrialState):
    """`--tol` or `--target-loss` ended the trial."""

    word = "reached its goal"
    order = 20
    sign, color = "*", "green"
    reached = True

    def holds(self, case: Case) -> bool:
        """Return whether a goal ended the trial."""
        return case.observed.stopped_by in ("tol", "target")

    def phrase(self, case: Case) -> str:
        """Return which goal, and after how many steps."""
        seen = case.observed
        goal = "--target-loss" if seen.stopped_by == "target" else "--tol"
        return f"reached {goal} after {steps_in_words(case, seen.steps or 0.0)}"


class AboveItsStart(TrialQuality):
    """The loss ends above its start."""

    word = "above its start"
    order = 140
    smaller_rate = True

    def holds(self, case: Case) -> bool:
        """Return whether the loss ends above its start and rose at a watched point."""
        rose = case.observed.above_start_from is not None
        return not case.ended_wild and rose and case.fall < 0

    def phrase(self, case: Case) -> str:
        """Return both losses."""
        losses = f"it starts at {number(case.start)} and ends at {case.end_in_words}"
        return f"ends above its start: {losses}"

    def advice(self, case: Case) -> str:
        """Return which learning rate to use."""
        if case.over_limit is not None and case.over_limit > 1:
            return f"Use a learning rate below {number(case.known.limit)}."
        return "Use a smaller learning rate."


class TargetBelowTheMinimum(TrialQuality):
    """`--target-loss` is less than the known least loss."""

    word = "target below the minimum"
    order = 160
    beside = True

    def holds(self, case: Case) -> bool:
        """Return whether the target is below the known least loss."""
        target, least = case.descent.target_loss, case.known.minimum
        return target is not None and least is not None and target < least

    def phrase(self, case: Case) -> str:
        """Return the target and the least loss."""
        least = f"the least loss is {number(case.known.minimum)}"
        return f"cannot reach its target {number(case.descent.target_loss)}: {least}"

    def advice(self, case: Case) -> str:
        """Return which targets can be reached."""
        return f"Give a --target-loss above {number(case.known.minimum)}."
