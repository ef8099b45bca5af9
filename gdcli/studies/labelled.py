"""The training examples that all trials of a grid have, and what is said of their classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gdcli.datasets.described import Described, described
from gdcli.discovery import name_of
from gdcli.engine.examples import examples_of
from gdcli.errors import UserError
from gdcli.problem import Data, LinearModel, Network
from gdcli.studies.labels import Labels, classes_of, flipped, labels_of, with_labels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gdcli.grid import Trial

WHERE = "gdcli explore"
CRITERIA = ("cross_entropy", "mse")  # of a network: those that are known for a single example


@dataclass(frozen=True)
class Examples:
    """The training examples of all trials, and what is said of their classes."""

    data: Data  # with the labels that are trained on
    labels: Labels | None  # those; None where there are no classes
    original: Labels | None  # what they were before some were made wrong on purpose
    classes: int
    described: Described  # what they are called in the user's file, as far as it is known

    def class_name(self, place: int) -> str:
        """Return what a class is called: its name, or its place where it has none."""
        names = self.described.classes
        return names[place] if place < len(names) else str(place)

    @property
    def flipped(self) -> NDArray[Any] | None:
        """Which labels were made wrong."""
        if self.labels is None or self.original is None:
            return None
        return np.not_equal(self.labels, self.original)


def examples_for(trials: Sequence[Trial], flip_labels: float) -> Examples:
    """Return the examples that all trials have, with some labels made wrong; raises UserError."""
    first = trials[0]
    for problem in dict.fromkeys(trial.problem for trial in trials):
        _check_kind(problem)
    data = examples_of(first)
    if data.train["y"].ndim > 2 or (data.train["y"].ndim == 2 and _classifies(first.problem)):
        raise UserError(WHERE, "an example has several targets", "explore one with a class each")
    labels = labels_of(first, data)
    _check_same(trials, data)
    if labels is None:
        if flip_labels:
            what = f"{name_of(first.problem)} predicts numbers: there are no labels to flip"
            raise UserError("--flip-labels", what, "leave it out, or explore a classifier")
        return Examples(data, None, None, 0, described(first.problem, data, data.train["y"]))
    classes = classes_of(data, labels)
    wrong = flipped(first, labels, classes, flip_labels)
    about = described(first.problem, data, labels)
    return Examples(with_labels(data, wrong), wrong, labels, classes, about)


def _classifies(problem: object) -> bool:
    return isinstance(problem, Network) and problem.classifies


def _check_kind(problem: object) -> None:
    """Raise UserError for a problem whose loss is not a mean over examples with a target each."""
    if not isinstance(problem, LinearModel | Network):
        what = f"{name_of(problem)} has no loss of a single example"
        fix = "take a linear model or a network, such as softmax-regression or mlp"
        raise UserError(WHERE, what, fix)


def _check_same(trials: Sequence[Trial], data: Data) -> None:
    """Raise UserError where trials differ in their examples, as far as the targets tell."""
    y = data.train["y"]
    for trial in {trial.problem: trial for trial in trials}.values():
        if not np.array_equal(examples_of(trial).train["y"], y):
            what = "the grid varies the examples, and a data map is of the same ones"
            raise UserError("--vary", what, "vary what does not change them")
