"""Whether labels that a model contradicts are more than the classes' own spread explains.

A model contradicts right labels, too: where classes overlap, and where a rare one is hardly learnt.
Each class is therefore its own yardstick. The margins of the examples with its label are taken for
normal on the logit scale, with their median and the wider of their half-spreads, which a few wrong
labels hardly move; the part of that curve below the bound is how many right labels the model would
contradict. Wrong labels are a second hump, far from the class's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, lgamma, log
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

FEWEST = 8  # examples of a class whose spread can be told
LEAST = 0.5  # expected of every class: no spread is known so well that none would be
CHANCE = 0.01  # that some class is accused of which every label is right
QUARTER = NormalDist().inv_cdf(0.75)  # half the distance of a normal curve's quartiles
NEAREST = 1e-9  # to a margin of 1 or -1, which has no logit


@dataclass(frozen=True)
class LabelNoise:
    """What a setting's margins say of the labels."""

    accused: NDArray[np.bool_]  # (examples,): those that are likely wrong
    contradicted: int  # examples of which another label is likelier by the bound
    expected: float  # right labels among the accused; where none is, among the contradicted
    untold: tuple[int, ...]  # classes of most of whose examples the model expects another label

    @property
    def expected_false(self) -> float | None:
        """How many of the accused have the right label, None where none is accused."""
        return self.expected if self.accused.any() else None


def label_noise(
    margins: NDArray[np.float64], labels: NDArray[np.int64], bound: float
) -> LabelNoise:
    """Return what the margins of all examples, (examples,), say of their labels.

    Labels with margins of -`bound` or less are accused where in some class there are significantly
    more of these than expected, by Poisson's distribution and Bonferroni's correction; those of
    classes that the model does not tell from the others never are.
    """
    contradicted = margins <= -bound
    accused = np.zeros(len(labels), bool)
    classes = np.unique(labels)
    # With a class's own spread, and with that of its examples that are not contradicted: wrong
    # labels widen the one, and without them the other is too narrow where there are none.
    by_chance, false, untold, significant = 0.0, 0.0, [], False
    for place in classes.tolist():
        own = labels == place
        found = int((contradicted & own).sum())
        if own.sum() < FEWEST or np.median(margins[own]) <= 0:
            by_chance += found
            untold += [place] if own.sum() >= FEWEST else []
            continue
        explained = max(LEAST, _explained(margins[own], bound))
        significant |= _at_least(found, explained) < CHANCE / len(classes)
        by_chance += min(found, explained)
        false += min(found, max(LEAST, _explained(margins[own & ~contradicted], bound)))
        accused |= contradicted & own
    count = int(contradicted.sum())
    if significant:
        return LabelNoise(accused, count, false, tuple(untold))
    return LabelNoise(np.zeros_like(accused), count, by_chance, tuple(untold))


def _explained(margins: NDArray[np.float64], bound: float) -> float:
    """Return how many of a class's examples its spread puts at or below the bound."""
    inner = np.clip(margins, NEAREST - 1, 1 - NEAREST)
    low, middle, high = np.quantile(2 * np.arctanh(inner), [0.25, 0.5, 0.75]).tolist()
    spread = max(middle - low, (high - low) / 2) / QUARTER
    if spread == 0:
        return 0.0
    return len(margins) * NormalDist(middle, spread).cdf(
        2 * float(np.arctanh(max(-bound, NEAREST - 1)))
    )


def _at_least(count: int, mean: float) -> float:
    """Return the chance of so many or more by Poisson's distribution."""
    return 1.0 - sum(exp(k * log(mean) - mean - lgamma(k + 1)) for k in range(count))
