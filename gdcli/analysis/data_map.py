"""What training dynamics say of examples: regions of a data map, likely label errors, ranks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]
    Places = NDArray[np.int64]

REGIONS = ("easy", "ambiguous", "hard")
CONFIDENT = 0.5  # mean probability of the label from which an example that is sure is easy


def regions_of(
    confidence: Numbers, variability: Numbers, ambiguous_from: float
) -> NDArray[np.int64]:
    """Return each example's place in REGIONS, (examples,).

    The regions are those of Swayamdipta et al. 2020, with fixed bounds in the place of their
    thirds, so that their shares can be compared: ambiguous is what varies so much or more; the
    rest is easy where the label is as likely as not or likelier in the mean, and hard elsewhere.
    """
    sure = np.where(confidence >= CONFIDENT, REGIONS.index("easy"), REGIONS.index("hard"))
    return np.where(variability >= ambiguous_from, REGIONS.index("ambiguous"), sure)


def margins_of(likely: Numbers, labels: Places) -> Numbers:
    """Return how much likelier the label is than the likeliest other class, (examples,).

    `likely` holds mean probabilities over the epochs, (classes, examples): this is the area under
    the margin of Pleiss et al. 2020, with probabilities in the place of outputs.
    """
    places = labels[None]
    others = likely.copy()
    np.put_along_axis(others, places, -np.inf, axis=0)
    margins: Numbers = np.take_along_axis(likely, places, axis=0)[0] - others.max(0)
    return margins


def precision_and_recall(
    found: NDArray[np.bool_], wanted: NDArray[np.bool_]
) -> tuple[float | None, float | None]:
    """Return which part of what is found is wanted, and of what is wanted is found."""
    both = int((found & wanted).sum())
    precision = both / int(found.sum()) if found.any() else None
    return precision, both / int(wanted.sum()) if wanted.any() else None


def rank_correlation(one: Numbers, other: Numbers) -> float | None:
    """Return Spearman's rank correlation; None where all of one's values are the same."""
    a, b = (ranks - ranks.mean() for ranks in map(_ranks, (one, other)))
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size else None


def _ranks(values: Numbers) -> Numbers:
    """Return ranks from 1; equal values share the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Numbers = (np.cumsum(counts) - 0.5 * (counts - 1))[inverse]
    return ranks
