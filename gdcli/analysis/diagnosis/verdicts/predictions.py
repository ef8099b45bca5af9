"""What a model's predictions are worth: no more than guessing, all right, or past their best."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Annotated

from annotated_types import Gt

from gdcli.analysis.diagnosis.verdict import (
    CLOSE,
    LINEAR,
    SHARE_ROUNDING,
    STRETCHES,
    TrialQuality,
    number,
    steps_in_words,
)
from gdcli.analysis.diagnosis.verdicts.trend import LAGGING_ADVICE, UNHURRIED_ADVICE
from gdcli.fields import show
from gdcli.numbers import percent

if TYPE_CHECKING:
    from gdcli.analysis.diagnosis.case import Case


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
