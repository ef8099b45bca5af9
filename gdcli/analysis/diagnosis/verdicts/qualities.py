"""What a trial has come to: where it rests, what holds it there, what its predictions are worth."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Annotated

from annotated_types import Gt

from gdcli.analysis.diagnosis.verdict import (
    CLOSE,
    LINEAR,
    SHARE_ROUNDING,
    TrialQuality,
    number,
    steps_in_words,
)
from gdcli.analysis.diagnosis.verdicts.states import LAGGING_ADVICE, UNHURRIED_ADVICE
from gdcli.fields import show
from gdcli.measure import STRETCHES
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
            here, least = case.end_in_words, number(case.known.minimum)
            if not case.known.attained:
                return f"is done: its loss is {here} and tends to {least}, which no weights reach"
            left = f"; {percent(case.left)} of its fall is left" if case.left else ""
            at = "near" if case.falls_on else "at"
            return f"is {at} the minimum: loss {here}, the least possible is {least}{left}"
        if case.at_least:
            bound = number(case.known.bound)
            return f"is at the minimum: loss {case.end_in_words}, and no loss is below {bound}"
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


NEARLY_OVER = 0.05  # a multiplier this small, over the schedule's largest, has run out
MANY = 1e3  # a condition number that is worth a word


class EndedByItsSchedule(TrialQuality):
    """The last multiplier of the schedule is at most 5% of the largest; never with an average."""

    word = "ended by its schedule"
    order = 70

    def holds(self, case: Case) -> bool:
        """Return whether the rate ended near 0; at chance level something else is amiss."""
        amiss = case.known.classifier and case.at_chance
        slowed = case.descent.end_multiplier <= NEARLY_OVER and not case.averaged
        return not case.ended_wild and slowed and not amiss

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
    decay, clipping, an average of many steps, or a rule that lowers the noise itself.
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
    if case.averaged or case.calms:  # more steps lower it
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


class WithWeightDecay(TrialQuality):
    """The loss of a convex problem is flat above its minimum, with weight decay."""

    word = "with weight decay"
    order = 110

    def holds(self, case: Case) -> bool:
        """Return whether the loss of a convex problem is flat, with weight decay."""
        held = case.descent.weight_decay > 0 and case.known.convex is True and case.enough
        return held and case.left is not None and not case.falls_on and not case.ended_wild

    def phrase(self, case: Case) -> str:
        """Return how far above the least loss that is."""
        decay = f"with a weight decay of {number(case.descent.weight_decay)}"
        return f"is {number(case.gap)} above the least loss, {decay}"

    def advice(self, case: Case) -> str:
        """Return what to change."""
        batches = ", larger batches" if case.descent.stochastic else ""
        return f"Try less weight decay{batches} or a smaller learning rate."


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


class ChanceLevel(TrialQuality):
    """A model predicts no better than a constant.

    A classifier is no better than the constant answer of the most frequent class, by its balanced
    accuracy if that is recorded, otherwise by its accuracy. A regression is no better than the
    mean.
    """

    word = "chance level"
    order = 100
    alone = True

    def holds(self, case: Case) -> bool:
        """Return whether the best constant prediction is as good."""
        return not case.ended_wild and case.at_chance

    def phrase(self, case: Case) -> str:
        """Return what the model reaches, and what a constant does."""
        base = case.known.baseline_loss
        lower = "hardly" if base is not None and case.level < base else "no"
        if not case.known.classifier:
            losses = f"loss {number(case.level)}, that of the mean is {number(base)}"
            return f"is {lower} better than predicting the mean: {losses}"
        reached, constant = case.beside_majority
        if constant is None or reached is None:
            return f"is {lower} better than guessing the shares of the classes"
        better = "no" if reached <= constant + SHARE_ROUNDING else "hardly"
        majority = case.known.majority
        answer = "the most frequent class" if majority is None else show(majority)
        what = f"is {better} better than always answering {answer}"
        if case.recalls:
            figures = f"{percent(reached)}, that of the constant answer {percent(constant)}"
            return f"{what}: balanced training accuracy {figures}"
        share = f"{percent(constant)} of the examples are of that class"
        return f"{what}: training accuracy {percent(reached)}, and {share}"

    def advice(self, case: Case) -> str:
        """Return what to try."""
        if not case.enough:
            return "Give it more epochs."
        if case.averaged or case.unhurried:
            return LAGGING_ADVICE if case.averaged else UNHURRIED_ADVICE
        if case.known.network:
            adam = "Adam, " if case.descent.optimizer in LINEAR else ""
            begin = "Give it more epochs, or try larger" if case.falls_on else "Try other"
            decay = "less weight decay, " if case.descent.weight_decay else ""
            return f"{begin} learning rates, {decay}{adam}fewer layers or another activation."
        if case.falls_on:
            return "Give it more epochs, or try larger learning rates."
        if case.descent.stochastic:
            return "Try smaller learning rates or larger batches."
        return "Try other learning rates."


@dataclass(frozen=True)
class _Predicting(TrialQuality):
    """What has a limit for test losses."""

    worse: Annotated[
        float,
        "a test loss that ends above its lowest by more than this share counts as overfitting",
        Gt(0),
    ] = 0.1

    def overfits(self, case: Case) -> bool:
        """Return whether the test loss is above its lowest though the training loss fell since."""
        seen, horizon = case.observed, case.descent.horizon
        low, late, at = seen.lowest_test_loss, seen.late_test_loss, seen.lowest_test_step
        if low is None or late is None or at is None or not horizon or not case.enough:
            return False
        place = ceil(max(1.0, min(STRETCHES, at * STRETCHES / horizon)))
        then = seen.levels[place - 1]
        fell = then is not None and case.level < then - CLOSE * abs(then)
        over = place < STRETCHES  # else the test loss still falls
        return late - low > self.worse * abs(low) and fell and over


class AllExamplesRight(_Predicting):
    """The training accuracy is 1."""

    word = "all examples right"
    order = 60
    good = True

    def holds(self, case: Case) -> bool:
        """Return whether the training accuracy is 1."""
        right = case.observed.final_train_accuracy
        return right is not None and right >= 1 and not case.ended_wild

    def phrase(self, case: Case) -> str:
        """Return that, and whether its loss can fall for ever."""
        if case.known.minimum is not None and not case.known.attained:
            return "predicts all training examples correctly; its loss can fall for ever"
        return "predicts all training examples correctly"

    def advice(self, case: Case) -> str:
        """Return what more epochs would do."""
        if self.overfits(case):
            return "Its test loss is past its best: stop earlier."
        return "More epochs lower the loss, not the number of mistakes."


class PastItsBestTestLoss(_Predicting):
    """The test loss ends 10% above its lowest (`--worse`), and the training loss fell meanwhile."""

    word = "past its best test loss"
    order = 150
    beside = True
    final = True

    def holds(self, case: Case) -> bool:
        """Return whether the model overfits."""
        return not case.ended_wild and self.overfits(case)

    def phrase(self, case: Case) -> str:
        """Return the lowest test loss and that near the end."""
        seen = case.observed
        when = steps_in_words(case, seen.lowest_test_step or 0.0)
        lowest, late = number(seen.lowest_test_loss), number(seen.late_test_loss)
        return f"is past its best test loss: {lowest} after {when}, {late} on average near the end"

    def advice(self, case: Case) -> str:
        """Return what to change."""
        return "Stop earlier, use a smaller model or an L2 penalty."
