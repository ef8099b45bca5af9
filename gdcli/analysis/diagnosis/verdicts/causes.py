"""What keeps a loss above its least: schedule, noise, conditioning, decay, momentum, clipping."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gdcli.analysis.diagnosis.verdict import TrialQuality, number
from gdcli.numbers import percent

if TYPE_CHECKING:
    from gdcli.analysis.diagnosis.case import Case


NEARLY_OVER = 0.05  # a multiplier this small, over the schedule's largest, has run out
MANY = 1e3  # a condition number that is worth a word


class EndedByItsSchedule(TrialQuality):
    """The last multiplier of the schedule is at most 5% of the largest."""

    word = "ended by its schedule"
    order = 70

    def holds(self, case: Case) -> bool:
        """Return whether the rate ended near 0; at chance level something else is amiss."""
        amiss = case.known.classifier and case.at_chance
        return not case.ended_wild and case.descent.end_multiplier <= NEARLY_OVER and not amiss

    def phrase(self, case: Case) -> str:
        """Return where the learning rate ends."""
        share = case.descent.end_multiplier
        end = "about 0" if share < 1e-3 else f"{percent(share)} of its largest"
        if case.falls_on:
            return f"is slowed down by its schedule, whose learning rate ends at {end}"
        return f"is ended by its schedule: its learning rate ends at {end}, so the loss flattens"

    def advice(self, case: Case) -> str:
        """Return what to change."""
        return "Use a larger learning rate, or a longer run of the same schedule."


class AtItsNoiseFloor(TrialQuality):
    """The noise of batches keeps the loss of `sgd` or `minibatch` above its least.

    The loss is flat, although its gradient is steep enough to lower it in the same number of
    steps. If theory knows a floor, the loss is within a factor of 3 of it. Never with weight
    decay or clipping.
    """

    word = "at its noise floor"
    order = 80
    smaller_rate = True

    def holds(self, case: Case) -> bool:
        """Return whether noise holds the loss, and nothing else is amiss."""
        return _at_floor(case) and not (case.known.classifier and case.at_chance)

    def phrase(self, case: Case) -> str:
        """Return how far above the least loss, or its bound, that is."""
        least = "the least loss" if case.gap is not None else number(case.least)
        above, floor = f"{number(_excess(case))} above {least}", case.known.floor
        if floor is not None:
            return f"is at its noise floor: {above} on average; theory says {number(floor)}"
        return f"is at its noise floor, {above} on average"

    def advice(self, case: Case) -> str:
        """Return what lowers the floor."""
        return "Use a schedule, a smaller learning rate or larger batches, not more epochs."


def _excess(case: Case) -> float | None:
    """Return what a noisy loss is above its least one on average, over the second half."""
    late = case.levels[len(case.levels) // 2 :]
    return sum(late) / len(late) - case.least if late and case.least is not None else None


def _at_floor(case: Case) -> bool:
    """Return whether the noise of batches holds the loss above its least.

    The loss is flat, though its gradient would have taken it all the way down; and it is where
    theory says, if theory does.
    """
    descent, excess = case.descent, _excess(case)
    noisy = descent.stochastic and descent.steady and not case.ended_wild
    if descent.weight_decay or descent.clip_norm is not None:  # they hold a loss up, too
        return False
    if not noisy or not case.enough or case.trend.sure >= case.limits.sure:
        return False
    if case.at_least or not case.known.attained or excess is None:
        return False
    if case.pull is None:  # an adaptive rule: its steps do not shrink with the gradient
        return case.known.convex is True and case.gap is not None
    floor = case.known.floor
    there = floor is None or floor / 3 <= excess <= 3 * floor
    return there and case.pull >= excess


class IllConditioned(TrialQuality):
    """The condition number is 1000 or more, and the loss is not at its minimum."""

    word = "ill-conditioned"
    order = 90
    sooner = True

    def holds(self, case: Case) -> bool:
        """Return whether the condition number is large, and the loss above its minimum."""
        condition = case.known.condition
        many = condition is not None and condition >= MANY
        return many and case.gap is not None and not case.at_least and not case.ended_wild

    def phrase(self, case: Case) -> str:
        """Return the gap and the condition number."""
        number_of = f"the condition number is {number(case.known.condition)}"
        return f"is {number(case.gap)} above the least loss: {number_of}"

    def advice(self, case: Case) -> str:
        """Return what helps against it."""
        if case.known.scaled is False:
            return "Standardise the features: --scale standard."
        plain = case.descent.optimizer == "vanilla"
        return "Use momentum or Adam." if plain else "Give it more epochs."


class HeldByWeightDecay(TrialQuality):
    """The loss of a convex problem is flat above its minimum, with weight decay."""

    word = "held by weight decay"
    order = 110
    final = True

    def holds(self, case: Case) -> bool:
        """Return whether the loss of a convex problem is flat, with weight decay."""
        held = case.descent.weight_decay > 0 and case.known.convex is True and case.enough
        return held and case.left is not None and not case.falls_on and not case.ended_wild

    def phrase(self, case: Case) -> str:
        """Return how far above the least loss that is."""
        decay = f"its weight decay of {number(case.descent.weight_decay)}"
        noise = " and the noise of its batches" if case.descent.stochastic else ""
        return f"is held {number(case.gap)} above the least loss by {decay}{noise}"

    def advice(self, case: Case) -> str:
        """Return what to change."""
        return "Use less weight decay for a lower training loss."


class TooMuchMomentum(TrialQuality):
    """According to theory, less momentum is faster."""

    word = "too much momentum"
    order = 120
    sooner = True

    def holds(self, case: Case) -> bool:
        """Return whether a smaller beta is the fastest one at this learning rate."""
        beta, best = case.descent.beta, case.known.best_beta
        return beta is not None and best is not None and beta > best and not case.ended_wild

    def phrase(self, case: Case) -> str:
        """Return both betas."""
        fastest = f"{number(case.known.best_beta)} is the fastest at this learning rate"
        return f"has more momentum than helps: beta {number(case.descent.beta)}, while {fastest}"

    def advice(self, case: Case) -> str:
        """Return the fastest beta."""
        return f"Use a beta of {number(case.known.best_beta)}."


class Clipped(TrialQuality):
    """The last gradient is longer than `--clip-norm`."""

    word = "clipped"
    order = 130

    def holds(self, case: Case) -> bool:
        """Return whether the last gradient is clipped."""
        clip, norm = case.descent.clip_norm, case.observed.final_grad_norm
        return clip is not None and norm is not None and norm > clip and not case.ended_wild

    def phrase(self, case: Case) -> str:
        """Return the norm, and what it is clipped to."""
        norms = f"norm {number(case.observed.final_grad_norm)}"
        clip = f"clipped to {number(case.descent.clip_norm)}"
        return f"is slowed down by its clipped gradient: {norms}, {clip}"

    def advice(self, case: Case) -> str:
        """Return what to change."""
        return "Use a larger --clip-norm or a larger learning rate."
